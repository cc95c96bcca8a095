"""A pattern folded from its stream, and its views as of a log time and market time.

A record keeps its facts packed and computes the rest on demand: folding a long log costs little more than reading it,
and states and counts are those of the facts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress

import numpy as np

from ratchet.errors import InvalidInput
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.names import Task
from ratchet.patterns.evidence import EvidenceBars
from ratchet.patterns.snapshots import SnapshotIndex
from ratchet.timestamps import LAST_SECOND
from services.knowledge.domain.change import Change
from services.knowledge.domain.counts import Counts, count
from services.knowledge.domain.evidence import Evidence, merge
from services.knowledge.domain.rules import State, above_threshold, after_evidence, grade, retirement_reason
from services.platform.facts import Fact

__all__ = ["PREFIX", "Change", "PatternRecord", "PatternView", "evolve", "own_state", "state_of", "stream_of", "view"]

PREFIX = "pattern/"


@dataclass(frozen=True, eq=False)
class PatternRecord:
    """The recorded facts of one pattern.

    `definition` is that of the discovery, or of the offer before a discovery. `snapshots`: the rows that its evidence
    names. `first_omitted`: the version of the first omitted fact, None if complete; the states and counts of later
    facts are then invalid.
    """

    definition: pattern_pb2.Pattern
    changes: tuple[Change, ...]
    snapshots: SnapshotIndex
    offer: facts_pb2.PatternOffered | None = None
    first_omitted: int | None = None

    def as_of_market_time(self, time: int | None) -> PatternRecord:
        """The record without sessions of a market time later than `time` (epoch seconds); itself if there are none.

        Facts by persons have no market time and stay. None: all facts.
        """
        if time is None:
            return self
        counts = [each.market_time is None or each.market_time <= time for each in self.changes]
        if all(counts):
            return self
        counted = tuple(compress(self.changes, counts))
        return replace(self, changes=counted, first_omitted=self.changes[counts.index(False)].version)

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
    def covered_by(self) -> str:
        return self.changes[-1].covered_by

    @property
    def label(self) -> bool:
        return self.definition.rule.label

    @property
    def horizon(self) -> int:
        return Task.parse(self.definition.task).horizon

    @property
    def admitted(self) -> bool:
        return self.admitted_by(self.version)

    @cached_property
    def evidence(self) -> Evidence:
        return self._merged[0]

    @property
    def conflicting(self) -> Evidence:
        """The bars that contradict the union; a bar may occur more than once."""
        return self._merged[1]

    def admitted_by(self, version: int) -> bool:
        """Whether its first test, by the facts up to `version`, kept the pattern."""
        tests = self._first_tests(version)
        if len(tests) == 1 and tests[0].kind is facts_pb2.PatternDiscovered:
            return tests[0].state is not State.REFUTED
        if not tests or not all(change.passed_first_test for change in tests):
            return False
        return above_threshold(count(self.first_test(version), self.label, self.horizon))

    def first_test(self, version: int | None = None) -> Evidence:
        """The bars of its first test, by the facts up to `version`; empty without one."""
        tests = self._first_tests(self.version if version is None else version)
        return merge(Evidence.concatenated((each.version, self._bars(each)) for each in tests))[0]

    def tested_through(self, position: int | None = None) -> int | None:
        """The time of the last bar of a first test recorded by `position`; None without a test."""
        used = [
            int(self._bars(change).times.max(initial=0))
            for change in self.changes
            if change.passed_first_test is not None and (position is None or change.position <= position)
        ]
        return max(used, default=None)

    def bars_of(self, version: int) -> EvidenceBars:
        """The bars of the fact of that version; empty for unreadable evidence."""
        return self._bars(self._change(version))

    def dataset_of(self, version: int) -> str:
        """The digest of that fact's dataset; empty without evidence."""
        return self._change(version).evidence.dataset_digest

    def _change(self, version: int) -> Change:
        return next(change for change in self.changes if change.version == version)

    def _bars(self, change: Change) -> EvidenceBars:
        """The bars of a fact's evidence, in the order of the message.

        Unreadable evidence counts as none: other clients may append to the log, and one such fact must not hide the
        others.
        """
        evidence = change.evidence
        if not evidence.spans:
            return EvidenceBars.none()
        try:
            rows = self.snapshots.rows(evidence.dataset_digest, self.definition.series)
            return rows.evidence(evidence.spans, self.horizon)
        except InvalidInput:
            return EvidenceBars.none()

    @cached_property
    def _merged(self) -> tuple[Evidence, Evidence]:
        return merge(Evidence.concatenated((each.version, self._bars(each)) for each in self.changes))

    def _first_tests(self, version: int) -> list[Change]:
        """The facts of its first test: among the recorded tests, those that begin with the earliest bar."""
        tests = [
            change for change in self.changes if change.version <= version and change.passed_first_test is not None
        ]
        if len(tests) < 2:
            return tests
        first_bars = [self._bars(change).times.min(initial=LAST_SECOND) for change in tests]
        return [change for change, first in zip(tests, first_bars, strict=True) if first == min(first_bars)]


@dataclass(frozen=True, eq=False)
class PatternView:
    """A pattern as of a log time and market time.

    Only counted facts, and of their bars those with labels known before `known_before`, in epoch seconds; None: all of
    them. `recorded`: state and counts are those of the facts.
    """

    record: PatternRecord
    state: State
    counts: Counts
    changes: tuple[Change, ...]
    known_before: int | None = None
    covered_by: str = ""
    recorded: bool = False

    @cached_property
    def evidence(self) -> Evidence:
        return self.record.evidence.known(self.changes[-1].version, self.known_before)

    @property
    def conflicts(self) -> tuple[int, ...]:
        """Times of the bars on which two facts disagree."""
        conflicting = self.record.conflicting
        times = np.unique(conflicting.times[conflicting.source <= self.changes[-1].version])
        return tuple(np.intersect1d(self.evidence.times, times).tolist())

    @property
    def validations(self) -> int:
        """The number of facts after the first evidence that added a counted bar."""
        first = next((change.version for change in self.changes if change.evidence.spans), 0)
        return len(np.unique(self.evidence.source[self.evidence.source > first]))

    @property
    def retired_reason(self) -> str:
        """The last reason given since the pattern was last above the threshold; empty unless retired."""
        if self.state is not State.RETIRED:
            return ""
        for change in reversed(self.changes):
            if change.state is not State.RETIRED:
                break
            if change.reason:
                return change.reason
        return retirement_reason(self.counts)


def stream_of(pattern_id: str) -> str:
    return PREFIX + pattern_id


def view(
    record: PatternRecord,
    position: int | None = None,
    known_before: int | None = None,
    market_time: int | None = None,
) -> PatternView | None:
    """The pattern as of a log position; None if it was not recorded by then.

    Without a time the recorded state. With `known_before` (epoch seconds) only bars with labels known before it count,
    with `market_time` only facts of sessions up to it (see `PatternRecord.as_of_market_time`). The state is then the
    pattern's own: subsumption depends on the whole scope, see `pattern_views.views`. Also None without a counted bar;
    but an offer is known from log time alone, so an offered pattern is OFFERED until a bar counts. A rule with a first
    test that ends after `known_before` is UNDECIDED.
    """
    record = record.as_of_market_time(market_time)
    changes = record.changes
    if position is not None and changes and changes[-1].position > position:
        changes = tuple(change for change in changes if change.position <= position)
    if not changes:
        return None
    last = changes[-1]
    if known_before is None and market_time is None:
        return PatternView(record, last.state, last.counts, changes, covered_by=last.covered_by, recorded=True)
    total = int(np.count_nonzero(record.evidence.source <= last.version))
    evidence = record.evidence.known(last.version, known_before)
    if not len(evidence):
        return PatternView(record, State.OFFERED, Counts(), changes, known_before) if record.offer else None
    if len(evidence) == total and record.first_omitted is None:
        return PatternView(record, own_state(last), last.counts, changes, known_before)
    counts = count(evidence, record.label, record.horizon)
    if known_before is not None and bool((record.first_test(last.version).label_times >= known_before).any()):
        return PatternView(record, State.UNDECIDED, counts, changes, known_before)
    return PatternView(record, state_of(record, evidence, counts, changes), counts, changes, known_before)


def own_state(change: Change) -> State:
    """The state after a fact, without subsumption by other patterns."""
    return grade(change.counts) if change.state is State.COVERED else change.state


def state_of(record: PatternRecord, evidence: Evidence, counts: Counts, changes: tuple[Change, ...]) -> State:
    """The pattern's own state after `changes`, from `evidence` and its counts."""
    by_person = max((change.version for change in changes if change.by_person), default=None)
    fresh = None if by_person is None else count(evidence.after_version(by_person), record.label, record.horizon)
    return after_evidence(record.admitted_by(changes[-1].version), counts, fresh)


def evolve(record: PatternRecord | None, fact: Fact, snapshots: SnapshotIndex, position: int = 0) -> PatternRecord:
    """The record after one more fact of its stream; InvalidInput for an invalid successor."""
    message, offered = fact.message, record is not None and record.state is State.OFFERED
    match message:
        case facts_pb2.PatternValidated() | facts_pb2.PatternRetired() if record is not None and not offered:
            return replace(record, changes=(*record.changes, Change.of(fact, message, position)))
        case facts_pb2.PatternDiscovered() if (record is None or offered) and _names(message.pattern, fact):
            if not any(span.bars > 0 for span in message.evidence.spans):
                raise InvalidInput(f"{fact.topic} begins the evidence of {fact.stream} without a tested bar")
            earlier, offer = (record.changes, record.offer) if record else ((), None)
            changes = (*earlier, Change.of(fact, message, position))
            return PatternRecord(_copy(message.pattern), changes, snapshots, offer)
        case facts_pb2.PatternOffered() if record is None and _names(message.pattern, fact):
            return PatternRecord(_copy(message.pattern), (Change.of(fact, message, position),), snapshots, message)
    raise InvalidInput(f"{fact.topic} can't be version {fact.version} of {fact.stream}")


def _names(definition: pattern_pb2.Pattern, fact: Fact) -> bool:
    """Whether it is the pattern of the fact's stream. InvalidInput for an invalid task."""
    Task.parse(definition.task)
    return stream_of(definition.id) == fact.stream


def _copy(definition: pattern_pb2.Pattern) -> pattern_pb2.Pattern:
    """A copy apart from the message, which a reference to a part would keep in memory."""
    apart = pattern_pb2.Pattern()
    apart.CopyFrom(definition)
    return apart
