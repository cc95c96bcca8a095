"""What a session learned: the patterns that it tested first, and those that its new bars retired or brought back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ratchet.cli import pattern_words as words
from ratchet.cli.facts import read_fact
from ratchet.client import Client
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.knowledge.v1.knowledge_pb2 import KnownPattern
from ratchet.names import Lineage, Model
from ratchet.registry.v1 import registry_pb2

STREAMS = eventlog_pb2.Filter(stream_prefixes=["pattern/"])
COVERED, RETIRED = pattern_pb2.PATTERN_STATE_COVERED, pattern_pb2.PATTERN_STATE_RETIRED

Tested: TypeAlias = facts_pb2.PatternDiscovered | facts_pb2.PatternValidated | facts_pb2.PatternRetired
"""The facts of a session: those that bring its evidence, and those that move other patterns in consequence."""


@dataclass(frozen=True)
class Learned:
    """Patterns as they were when the session ended: those that its model used, and those that it moved."""

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


def fetch_learned(client: Client, training: registry_pb2.Training, model: registry_pb2.Model) -> Learned:
    """By the facts that the session recorded, and by what was known right before them."""
    tested_first: dict[str, bool] = {}
    begun = model.position
    for event in client.read_log(training.requested_position, model.position, where=STREAMS):
        envelope, fact = read_fact(event)
        if isinstance(fact, Tested) and training.session_id in (fact.session_id, envelope.causation_id):
            tested_first[_id(fact)] = _tests_first(fact)
            begun = min(begun, event.position)
    lineage = Model.parse(training.model).lineage
    after = _as_of(client, lineage, model.position)
    earlier = _as_of(client, lineage, begun - 1) if tested_first and begun > 1 else ()
    before = {known.pattern.id: known.state for known in earlier}
    used = {use.pattern_id for use in model.record.patterns_used}
    return learned(after, before, tested_first, used)


def _as_of(client: Client, lineage: Lineage, position: int) -> list[KnownPattern]:
    return list(
        client.list_patterns(series=str(lineage.series), task=str(lineage.task), as_of=position, min_position=position)
    )


def _id(fact: Tested) -> str:
    return fact.pattern.id if isinstance(fact, facts_pb2.PatternDiscovered) else fact.pattern_id


def _tests_first(fact: Tested) -> bool:
    """A session that ran beside the one whose fact came first has tested the rule as a new one, too."""
    if isinstance(fact, facts_pb2.PatternValidated):
        return fact.HasField("p_value")
    return isinstance(fact, facts_pb2.PatternDiscovered)


def learned(
    after: Sequence[KnownPattern],
    before: Mapping[str, pattern_pb2.PatternState.ValueType],
    tested_first: Mapping[str, bool],
    used: set[str],
) -> Learned:
    """`before`: states by id; `tested_first`: of each pattern that the session brought bars of, whether it was new."""
    touched = [known for known in after if known.pattern.id in tested_first]
    again = [known for known in touched if not tested_first[known.pattern.id]]
    moved = [known for known in again if known.state != before.get(known.pattern.id)]
    return Learned(
        used=[known for known in after if known.pattern.id in used],
        found=[known for known in touched if tested_first[known.pattern.id]],
        revived=[known for known in moved if known.state in words.IN_FORCE and before.get(known.pattern.id) == RETIRED],
        retired=[known for known in moved if known.state == RETIRED],
        covered=[known for known in moved if known.state == COVERED],
    )


def learned_lines(told: Learned) -> Iterator[str]:
    """What the model used, then what is new; nothing of what did not happen but the patterns used and found."""
    kept = [known for known in told.found if known.state in words.IN_FORCE]
    covered = [known for known in told.found if known.state == COVERED]
    yield from pattern_lines("patterns used", told.used)
    yield from pattern_lines("patterns found", kept)
    if covered:
        yield f"found, but another says the same more simply: {len(covered)}"
    yield f"tested and not kept: {len(told.found) - len(kept) - len(covered)}"
    for known in told.found:
        if known.HasField("offer") and known.state not in (*words.IN_FORCE, COVERED):
            yield f"  offered from {known.offer.series}: {known.pattern.wording}   {words.state_of(known.state)}"
    if told.revived:
        yield from pattern_lines("revived by new evidence", told.revived)
    if told.retired:
        yield f"retired by new evidence: {len(told.retired)}"
        yield from (f"  {known.pattern.wording}   {known.retired_reason}" for known in told.retired)
    if told.covered:
        yield f"now covered by a simpler one: {len(told.covered)}"
        yield from (f"  {known.pattern.wording}   {words.state_with_its_other(known)}" for known in told.covered)


def pattern_lines(title: str, patterns: Sequence[KnownPattern]) -> Iterator[str]:
    yield f"{title}: {len(patterns) or 'none'}"
    for known in patterns:
        counts = known.counts
        yield (
            f"  {known.pattern.wording}   confidence {words.confidence(counts)}, base {words.base(counts)},"
            f" {counts.support} bars{f', offered from {known.offer.series}' if known.HasField('offer') else ''}"
        )
