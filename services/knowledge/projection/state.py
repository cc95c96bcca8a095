"""Everything that the knowledge service knows: a pure fold of the pattern and feature facts of the log."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ratchet.errors import InvalidInput
from services.knowledge.domain import pattern, ranking
from services.knowledge.domain.change import Change
from services.knowledge.domain.pattern import PatternRecord
from services.knowledge.domain.ranking import Ranking, RankingRecord
from services.platform.facts import Fact

PREFIXES = (pattern.PREFIX, ranking.PREFIX)

BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class SessionTrace:
    """What a session recorded: its lineage, the ids of its patterns, the position of its last fact."""

    lineage: str
    pattern_ids: tuple[str, ...]
    position: int


@dataclass(frozen=True)
class Contents:
    """The facts up to `position`, by pattern id, by lineage and by session; `scopes` are the pattern ids by series and
    task, in the order in which they came.

    `unreadable` are the positions of facts that can't follow what is before them in their stream, with the reason:
    others may append to the log too, and one such fact must not hide all the rest.
    """

    position: int = 0
    patterns: Mapping[str, PatternRecord] = field(default_factory=dict)
    rankings: Mapping[str, RankingRecord] = field(default_factory=dict)
    sessions: Mapping[str, SessionTrace] = field(default_factory=dict)
    scopes: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    unreadable: tuple[tuple[int, str], ...] = ()

    def scope(self, series: str, task: str) -> Sequence[PatternRecord]:
        """All patterns of a series and task."""
        return [self.patterns[name] for name in self.scopes.get((series, task), ())]

    def position_at(self, moment: datetime) -> int:
        """The position of the last of these facts that was recorded at `moment` (aware) or before; 0: none."""
        changes = (_last_by(record.changes, moment) for record in self.patterns.values())
        rankings = (_last_by(record.rankings, moment) for record in self.rankings.values())
        return max((*changes, *rankings), default=0)


def fold(contents: Contents, batch: Sequence[tuple[int, Fact]], position: int) -> Contents:
    """The contents after a batch of (position, fact); `position` is that up to which nothing is left out."""
    if not batch:
        return replace(contents, position=max(position, contents.position))
    patterns, rankings, sessions = dict(contents.patterns), dict(contents.rankings), dict(contents.sessions)
    scopes, unreadable = dict(contents.scopes), list(contents.unreadable)
    traces: dict[str, _Added] = defaultdict(_Added)
    for at, fact in batch:
        try:
            if fact.stream.startswith(ranking.PREFIX):
                lineage = fact.stream.removeprefix(ranking.PREFIX)
                ranked = rankings[lineage] = ranking.evolve(rankings.get(lineage), fact, at)
                traces[ranked.rankings[-1].message.session_id].add(lineage, (), at)
            else:
                name = fact.stream.removeprefix(pattern.PREFIX)
                known = patterns.get(name)
                record = patterns[name] = pattern.evolve(known, fact, at)
                if known is None:
                    scope = record.definition.series, record.definition.task
                    scopes[scope] = (*scopes.get(scope, ()), name)
                last = record.changes[-1]
                traces[last.session_id].add(last.lineage, (name,), at)
        except InvalidInput as error:
            unreadable.append((at, str(error)))
    traces.pop("", None)
    for session_id, added in traces.items():
        earlier = sessions.get(session_id, SessionTrace("", (), 0))
        names = (*earlier.pattern_ids, *added.names)
        sessions[session_id] = SessionTrace(earlier.lineage or added.lineage, names, added.position)
    return Contents(max(position, batch[-1][0]), patterns, rankings, sessions, scopes, tuple(unreadable))


class _Added:
    """What one batch adds to a session's trace."""

    def __init__(self) -> None:
        self.lineage, self.position = "", 0
        self.names: list[str] = []

    def add(self, lineage: str, names: tuple[str, ...], position: int) -> None:
        self.lineage, self.position = self.lineage or lineage, position
        self.names.extend(names)


def _last_by(told: Sequence[Change] | Sequence[Ranking], moment: datetime) -> int:
    """The position of the last one recorded by then; 0: none. Times never decrease along the log."""
    count = bisect_right(told, moment, key=lambda each: each.recorded_at or BEGINNING)
    return told[count - 1].position if count else 0
