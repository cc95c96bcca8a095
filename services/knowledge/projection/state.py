"""The state of the knowledge service: a fold of the data set, pattern and feature facts of the log."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ratchet.errors import InvalidInput
from ratchet.events.v1 import facts_pb2
from ratchet.names import Series
from ratchet.patterns.snapshots import SnapshotIndex
from services.knowledge.domain import pattern, ranking
from services.knowledge.domain.change import Change
from services.knowledge.domain.pattern import PatternRecord
from services.knowledge.domain.ranking import Ranking, RankingRecord
from services.platform.facts import Fact

DATASET_PREFIX = "dataset/"
PREFIXES = (DATASET_PREFIX, pattern.PREFIX, ranking.PREFIX)

BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class SessionRecord:
    """The facts of a session: its lineage, its pattern ids, the position of its last fact."""

    lineage: str
    pattern_ids: tuple[str, ...]
    position: int


@dataclass(frozen=True)
class KnowledgeState:
    """The facts up to `position`, by pattern id, by lineage and by session.

    `scopes` are the pattern ids by series and task, in order of arrival. `snapshots` are the rows that evidence names:
    later states share them, since a snapshot never changes. `unreadable` are the positions of invalid
    facts, with the reason: other clients may append to the log, and one such fact must not hide the others.
    """

    position: int = 0
    patterns: Mapping[str, PatternRecord] = field(default_factory=dict)
    rankings: Mapping[str, RankingRecord] = field(default_factory=dict)
    sessions: Mapping[str, SessionRecord] = field(default_factory=dict)
    scopes: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    snapshots: SnapshotIndex = field(default_factory=SnapshotIndex)
    unreadable: tuple[tuple[int, str], ...] = ()

    def scope(self, series: str, task: str) -> Sequence[PatternRecord]:
        """All patterns of a series and task."""
        return [self.patterns[name] for name in self.scopes.get((series, task), ())]

    def position_at(self, moment: datetime) -> int:
        """The position of the last fact recorded at `moment` (aware) or before; 0: none."""
        changes = (_last_by(record.changes, moment) for record in self.patterns.values())
        rankings = (_last_by(record.rankings, moment) for record in self.rankings.values())
        return max((*changes, *rankings), default=0)


def fold(state: KnowledgeState, batch: Sequence[tuple[int, Fact]], position: int) -> KnowledgeState:
    """The state after a batch of (position, fact); `position` is the position up to which the batch is complete."""
    if not batch:
        return replace(state, position=max(position, state.position))
    patterns, rankings, sessions = dict(state.patterns), dict(state.rankings), dict(state.sessions)
    scopes, unreadable = dict(state.scopes), list(state.unreadable)
    updates: dict[str, _SessionUpdate] = defaultdict(_SessionUpdate)
    for at, fact in batch:
        try:
            if isinstance(fact.message, facts_pb2.DatasetRegistered):
                series = Series(fact.message.symbol, fact.message.timeframe or "1d")
                state.snapshots.register(str(series), fact.message)
            elif fact.stream.startswith(ranking.PREFIX):
                lineage = fact.stream.removeprefix(ranking.PREFIX)
                ranked = rankings[lineage] = ranking.evolve(rankings.get(lineage), fact, at)
                updates[ranked.rankings[-1].message.session_id].add(lineage, (), at)
            else:
                name = fact.stream.removeprefix(pattern.PREFIX)
                known = patterns.get(name)
                record = patterns[name] = pattern.evolve(known, fact, state.snapshots, at)
                if known is None:
                    scope = record.definition.series, record.definition.task
                    scopes[scope] = (*scopes.get(scope, ()), name)
                last = record.changes[-1]
                updates[last.session_id].add(last.lineage, (name,), at)
        except InvalidInput as error:
            unreadable.append((at, str(error)))
    updates.pop("", None)
    for session_id, update in updates.items():
        earlier = sessions.get(session_id, SessionRecord("", (), 0))
        names = (*earlier.pattern_ids, *update.names)
        sessions[session_id] = SessionRecord(earlier.lineage or update.lineage, names, update.position)
    return KnowledgeState(
        max(position, batch[-1][0]), patterns, rankings, sessions, scopes, state.snapshots, tuple(unreadable)
    )


class _SessionUpdate:
    """The additions of one batch to a session's record."""

    def __init__(self) -> None:
        self.lineage, self.position = "", 0
        self.names: list[str] = []

    def add(self, lineage: str, names: tuple[str, ...], position: int) -> None:
        self.lineage, self.position = self.lineage or lineage, position
        self.names.extend(names)


def _last_by(records: Sequence[Change] | Sequence[Ranking], moment: datetime) -> int:
    """The position of the last record by then; 0: none. Times never decrease along the log."""
    count = bisect_right(records, moment, key=lambda each: each.recorded_at or BEGINNING)
    return records[count - 1].position if count else 0
