"""Patterns of a session: used by its model, tested first, retired, revived or covered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ratchet.cli import pattern_text
from ratchet.cli.facts import read_fact
from ratchet.client import Client
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.knowledge.v1.knowledge_pb2 import KnownPattern
from ratchet.names import Lineage, Model
from ratchet.registry.v1 import registry_pb2

STREAMS = eventlog_pb2.Filter(stream_prefixes=["pattern/"])
COVERED, RETIRED = pattern_pb2.PATTERN_STATE_COVERED, pattern_pb2.PATTERN_STATE_RETIRED

EvidenceFact: TypeAlias = facts_pb2.PatternDiscovered | facts_pb2.PatternValidated | facts_pb2.PatternRetired
"""Facts of a session with its evidence, and facts about other patterns in consequence."""


@dataclass(frozen=True)
class SessionPatterns:
    """Patterns as of the session's end: used by its model, or with a changed state."""

    used: Sequence[KnownPattern] = ()
    found: Sequence[KnownPattern] = ()
    revived: Sequence[KnownPattern] = ()
    retired: Sequence[KnownPattern] = ()
    covered: Sequence[KnownPattern] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "patterns_used": self.used,
            "patterns_found": self.found,
            "patterns_revived": self.revived,
            "patterns_retired": self.retired,
            "patterns_covered": self.covered,
        }


def fetch_session_patterns(
    client: Client, training: registry_pb2.Training, model: registry_pb2.Model
) -> SessionPatterns:
    """Reads the session's facts and the patterns before and after it."""
    first_tests: dict[str, bool] = {}
    begun = model.position
    for event in client.read_log(training.requested_position, model.position, where=STREAMS):
        envelope, fact = read_fact(event)
        if isinstance(fact, EvidenceFact) and training.session_id in (fact.session_id, envelope.causation_id):
            first_tests[_id(fact)] = _is_first_test(fact)
            begun = min(begun, event.position)
    lineage = Model.parse(training.model).lineage
    after = _as_of(client, lineage, model.position)
    earlier = _as_of(client, lineage, begun - 1) if first_tests and begun > 1 else ()
    before = {known.pattern.id: known.state for known in earlier}
    used = {use.pattern_id for use in model.record.patterns_used}
    return classify_patterns(after, before, first_tests, used)


def _as_of(client: Client, lineage: Lineage, position: int) -> list[KnownPattern]:
    return list(
        client.list_patterns(series=str(lineage.series), task=str(lineage.task), as_of=position, min_position=position)
    )


def _id(fact: EvidenceFact) -> str:
    return fact.pattern.id if isinstance(fact, facts_pb2.PatternDiscovered) else fact.pattern_id


def _is_first_test(fact: EvidenceFact) -> bool:
    """Whether the fact is a rule's first test; also true for a concurrent session that tested the same new rule."""
    if isinstance(fact, facts_pb2.PatternValidated):
        return fact.HasField("p_value")
    return isinstance(fact, facts_pb2.PatternDiscovered)


def classify_patterns(
    after: Sequence[KnownPattern],
    before: Mapping[str, pattern_pb2.PatternState.ValueType],
    first_tests: Mapping[str, bool],
    used: set[str],
) -> SessionPatterns:
    """Classifies patterns by change. `before`: states by id; `first_tests`: by id of the session's patterns, whether
    its test was the first."""
    touched = [known for known in after if known.pattern.id in first_tests]
    again = [known for known in touched if not first_tests[known.pattern.id]]
    moved = [known for known in again if known.state != before.get(known.pattern.id)]
    return SessionPatterns(
        used=[known for known in after if known.pattern.id in used],
        found=[known for known in touched if first_tests[known.pattern.id]],
        revived=[
            known for known in moved if known.state in pattern_text.IN_FORCE and before.get(known.pattern.id) == RETIRED
        ],
        retired=[known for known in moved if known.state == RETIRED],
        covered=[known for known in moved if known.state == COVERED],
    )


def session_pattern_lines(patterns: SessionPatterns) -> Iterator[str]:
    """Lines of used and found patterns, then of other changes, if any."""
    kept = [known for known in patterns.found if known.state in pattern_text.IN_FORCE]
    covered = [known for known in patterns.found if known.state == COVERED]
    yield from pattern_lines("patterns used", patterns.used)
    yield from pattern_lines("patterns found", kept)
    if covered:
        yield f"found, but another says the same more simply: {len(covered)}"
    yield f"tested and not kept: {len(patterns.found) - len(kept) - len(covered)}"
    for known in patterns.found:
        if known.HasField("offer") and known.state not in (*pattern_text.IN_FORCE, COVERED):
            yield f"  offered from {known.offer.series}: {known.pattern.wording}   {pattern_text.state_of(known.state)}"
    if patterns.revived:
        yield from pattern_lines("revived by new evidence", patterns.revived)
    if patterns.retired:
        yield f"retired by new evidence: {len(patterns.retired)}"
        yield from (f"  {known.pattern.wording}   {known.retired_reason}" for known in patterns.retired)
    if patterns.covered:
        yield f"now covered by a simpler one: {len(patterns.covered)}"
        yield from (
            f"  {known.pattern.wording}   {pattern_text.state_with_reference(known)}" for known in patterns.covered
        )


def pattern_lines(title: str, patterns: Sequence[KnownPattern]) -> Iterator[str]:
    yield f"{title}: {len(patterns) or 'none'}"
    for known in patterns:
        counts = known.counts
        origin = f", offered from {known.offer.series}" if known.HasField("offer") else ""
        yield (
            f"  {known.pattern.wording}   confidence {pattern_text.confidence(counts)},"
            f" base {pattern_text.base(counts)}, {counts.support} bars{origin}"
        )
