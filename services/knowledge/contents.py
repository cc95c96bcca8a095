"""Everything that the knowledge service knows: a pure fold of the pattern and feature facts of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ratchet.errors import InvalidInput
from services.kernel.facts import Fact
from services.knowledge.domain import pattern, ranking
from services.knowledge.domain.pattern import PatternRecord
from services.knowledge.domain.ranking import RankingRecord

PREFIXES = (pattern.PREFIX, ranking.PREFIX)


@dataclass(frozen=True)
class SessionTrace:
    """What a session recorded: its lineage, the ids of its patterns, the position of its last fact."""

    lineage: str
    pattern_ids: tuple[str, ...]
    position: int


@dataclass(frozen=True)
class Contents:
    """The facts up to `position`, by pattern id, by lineage and by session.

    `unreadable` are the positions of facts that can't follow what is before them in their stream, with the reason:
    others may append to the log too, and one such fact must not hide all the rest.
    """

    position: int = 0
    patterns: Mapping[str, PatternRecord] = field(default_factory=dict)
    rankings: Mapping[str, RankingRecord] = field(default_factory=dict)
    sessions: Mapping[str, SessionTrace] = field(default_factory=dict)
    unreadable: tuple[tuple[int, str], ...] = ()


def fold(contents: Contents, batch: Sequence[tuple[int, Fact]], position: int) -> Contents:
    """The contents after a batch of (position, fact); `position` is that up to which nothing is left out."""
    if not batch:
        return replace(contents, position=max(position, contents.position))
    patterns, rankings, sessions = dict(contents.patterns), dict(contents.rankings), dict(contents.sessions)
    unreadable = list(contents.unreadable)
    for at, fact in batch:
        try:
            if fact.stream.startswith(ranking.PREFIX):
                lineage = fact.stream.removeprefix(ranking.PREFIX)
                ranked = rankings[lineage] = ranking.evolve(rankings.get(lineage), fact, at)
                _trace(sessions, ranked.rankings[-1].message.session_id, lineage, "", at)
            else:
                name = fact.stream.removeprefix(pattern.PREFIX)
                record = patterns[name] = pattern.evolve(patterns.get(name), fact, at)
                _trace(sessions, record.changes[-1].session_id, record.changes[-1].lineage, name, at)
        except InvalidInput as error:
            unreadable.append((at, str(error)))
    return Contents(max(position, batch[-1][0]), patterns, rankings, sessions, tuple(unreadable))


def _trace(sessions: dict[str, SessionTrace], session_id: str, lineage: str, pattern_id: str, at: int) -> None:
    if session_id:
        earlier = sessions.get(session_id, SessionTrace("", (), at))
        names = (*earlier.pattern_ids, pattern_id) if pattern_id else earlier.pattern_ids
        sessions[session_id] = SessionTrace(earlier.lineage or lineage, names, at)
