"""The feature rankings of a lineage, folded from its stream."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ratchet.errors import InvalidInput
from ratchet.events.v1 import facts_pb2
from services.platform.facts import Fact

PREFIX = "features/"


@dataclass(frozen=True)
class Ranking:
    """One session's ranking; `message` is the fact."""

    position: int
    recorded_at: datetime | None
    message: facts_pb2.FeaturesRanked


@dataclass(frozen=True)
class RankingRecord:
    """All rankings of a lineage, oldest first."""

    version: int
    rankings: tuple[Ranking, ...]

    def known(self, position: int, market_time: int | None = None) -> tuple[Ranking, ...]:
        """The rankings recorded up to a log position and, with `market_time` (epoch seconds), by sessions not later."""
        return tuple(
            each
            for each in self.rankings
            if each.position <= position and (market_time is None or each.message.market_time.seconds <= market_time)
        )


def stream_of(lineage: str) -> str:
    return PREFIX + lineage


def evolve(record: RankingRecord | None, fact: Fact, position: int = 0) -> RankingRecord:
    """The record after one more fact of its stream; InvalidInput for another kind of fact."""
    if not isinstance(fact.message, facts_pb2.FeaturesRanked):
        raise InvalidInput(f"{fact.topic} can't be version {fact.version} of {fact.stream}")
    earlier = record.rankings if record else ()
    return RankingRecord(fact.version, (*earlier, Ranking(position, fact.recorded_at, fact.message)))
