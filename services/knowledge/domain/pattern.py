"""A pattern as its stream tells it, and what was known of it at any log time and market time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ratchet.errors import InvalidInput
from ratchet.events.v1 import decision_pb2, facts_pb2, pattern_pb2
from ratchet.names import Task
from services.kernel.bar_evidence import decode_all
from services.kernel.facts import Fact
from services.knowledge.domain.counts import Counts, count
from services.knowledge.domain.evidence import Evidence, merge
from services.knowledge.domain.rules import State, after_evidence, why_below

PREFIX = "pattern/"


@dataclass(frozen=True)
class Change:
    """One fact of a pattern's stream, with the state that it left."""

    version: int
    position: int
    recorded_at: datetime | None
    request_id: str
    session_id: str
    lineage: str
    state: State
    counts: Counts
    reason: str
    by_person: bool
    conflicts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PatternRecord:
    """Everything recorded of one pattern. `definition` is the message of the fact that discovered it."""

    definition: pattern_pb2.Pattern
    evidence: Evidence
    changes: tuple[Change, ...]

    @property
    def id(self) -> str:
        return self.definition.id

    @property
    def version(self) -> int:
        return self.changes[-1].version

    @property
    def state(self) -> State:
        return self.changes[-1].state

    @property
    def counts(self) -> Counts:
        return self.changes[-1].counts

    @property
    def label(self) -> bool:
        return self.definition.rule.label

    @property
    def horizon(self) -> int:
        return Task.parse(self.definition.task).horizon

    @property
    def admitted(self) -> bool:
        return self.changes[0].state.active

    def has_session(self, session_id: str) -> bool:
        return any(change.session_id == session_id for change in self.changes)

    def first_test(self) -> Evidence:
        """The bars that decided whether it may ever be kept."""
        return self.evidence.brought_by(self.changes[0].version)


@dataclass(frozen=True, eq=False)
class View:
    """What was known of a pattern: only the facts and the bars that counted then."""

    record: PatternRecord
    state: State
    counts: Counts
    evidence: Evidence
    changes: tuple[Change, ...]

    @property
    def conflicts(self) -> tuple[int, ...]:
        """Times of the bars on which two facts disagree."""
        disputed = {time for change in self.changes for time in change.conflicts}
        return tuple(int(time) for time in self.evidence.times if int(time) in disputed)

    @property
    def validations(self) -> int:
        """How many later facts brought a bar that counts here."""
        return len(np.unique(self.evidence.source[self.evidence.source > self.changes[0].version]))

    @property
    def retired_reason(self) -> str:
        if self.state is not State.RETIRED:
            return ""
        return next((change.reason for change in reversed(self.changes) if change.reason), why_below(self.counts))


def stream_of(pattern_id: str) -> str:
    return PREFIX + pattern_id


def view(record: PatternRecord, position: int | None = None, known_before: int | None = None) -> View | None:
    """The pattern as of a log position, of bars whose label was known before a market time (epoch seconds).

    None when it was not recorded by then, or when no bar of it counts. A rule whose first test was not over at
    `known_before` is UNDECIDED: that it passed was known only later.
    """
    changes = record.changes
    if position is not None:
        changes = tuple(change for change in changes if change.position <= position)
    if not changes:
        return None
    recorded = record.evidence.known(changes[-1].version)
    evidence = record.evidence.known(changes[-1].version, known_before)
    if not len(evidence):
        return None
    if len(evidence) == len(recorded):
        return View(record, changes[-1].state, changes[-1].counts, evidence, changes)
    counts = count(evidence, record.label, record.horizon)
    if known_before is not None and bool((record.first_test().label_times >= known_before).any()):
        return View(record, State.UNDECIDED, counts, evidence, changes)
    return View(record, state_of(record, evidence, counts, changes), counts, evidence, changes)


def state_of(record: PatternRecord, evidence: Evidence, counts: Counts, changes: tuple[Change, ...]) -> State:
    """The state that `evidence`, with its counts, leaves after `changes`."""
    by_person = max((change.version for change in changes if change.by_person), default=None)
    fresh = None if by_person is None else count(evidence.brought_after(by_person), record.label, record.horizon)
    return after_evidence(record.admitted, counts, fresh)


def evolve(record: PatternRecord | None, fact: Fact, position: int = 0) -> PatternRecord:
    """The record after one more fact of its stream; InvalidInput for a fact that can't follow."""
    message = fact.message
    lineage, reason, by_person = "", "", False
    match message:
        case facts_pb2.PatternDiscovered() if record is None and stream_of(message.pattern.id) == fact.stream:
            definition, state, lineage = message.pattern, _state(message.state), message.lineage
            Task.parse(definition.task)
        case facts_pb2.PatternValidated() if record is not None:
            definition, state, lineage = record.definition, _state(message.state), message.lineage
        case facts_pb2.PatternRetired() if record is not None:
            definition, state, reason = record.definition, State.RETIRED, message.reason
            by_person = message.decided_by == decision_pb2.DECIDED_BY_PERSON
        case _:
            raise InvalidInput(f"{fact.topic} can't be version {fact.version} of {fact.stream}")
    earlier = record.evidence if record else Evidence.none()
    union, conflicts = merge(earlier, decode_all(message.evidence), fact.version)
    if not len(union):
        raise InvalidInput(f"{fact.topic} begins {fact.stream} without a tested bar")
    change = Change(
        version=fact.version,
        position=position,
        recorded_at=fact.recorded_at,
        request_id=fact.request_id,
        session_id=message.session_id,
        lineage=lineage,
        state=state,
        counts=Counts.read(message.after),
        reason=reason,
        by_person=by_person,
        conflicts=tuple(conflicts.tolist()),
    )
    return PatternRecord(definition, union, (*(record.changes if record else ()), change))


def project(record: PatternRecord | None, facts: Iterable[Fact]) -> PatternRecord | None:
    """The projector of the eventsourcing repository."""
    for fact in facts:
        record = evolve(record, fact)
    return record


def _state(number: int) -> State:
    if number not in list(State):
        raise InvalidInput(f"{number} is no state of a pattern")
    return State(number)
