"""A pattern as its stream tells it, and what was known of it at any log time and market time.

A record keeps its facts, packed, and works out the rest when it is first asked for: folding a long log costs little
more than reading it, and states and counts are those that the facts carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import numpy as np

from ratchet.errors import InvalidInput
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.names import Task
from ratchet.patterns.evidence import EvidenceBars
from services.knowledge.domain.change import Change
from services.knowledge.domain.counts import Counts, count
from services.knowledge.domain.evidence import Evidence, unite
from services.knowledge.domain.rules import State, above_line, after_evidence, grade, why_below
from services.platform.facts import Fact

__all__ = ["PREFIX", "Change", "PatternRecord", "View", "evolve", "own_state", "state_of", "stream_of", "view"]

PREFIX = "pattern/"


@dataclass(frozen=True, eq=False)
class PatternRecord:
    """Everything recorded of one pattern. `definition` is that of the fact that discovered it, or of its offer as long
    as it is only that. `gap`: the version of the first fact that is left out, None where all are there: the states and
    counts that later facts carry do not hold then."""

    definition: pattern_pb2.Pattern
    changes: tuple[Change, ...]
    offer: facts_pb2.PatternOffered | None = None
    gap: int | None = None

    def of_market(self, time: int | None) -> PatternRecord:
        """The record as if no session of a market time later than `time` (epoch seconds) had told anything; itself
        where none did. Facts by persons have no market time and stay. None: all facts."""
        if time is None:
            return self
        counts = [each.market_time is None or each.market_time <= time for each in self.changes]
        if all(counts):
            return self
        counted = tuple(compress(self.changes, counts))
        return PatternRecord(self.definition, counted, self.offer, gap=self.changes[counts.index(False)].version)

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
        return self._united[0]

    @property
    def disputed(self) -> Evidence:
        """The bars that a fact told otherwise than the fact that stays; a bar may be there more than once."""
        return self._united[1]

    def admitted_by(self, version: int) -> bool:
        """Did its first test, as far as the facts up to `version` tell it, end in a kept pattern?"""
        deciding = self._first_tests(version)
        if len(deciding) == 1 and deciding[0].kind is facts_pb2.PatternDiscovered:
            return deciding[0].state is not State.REFUTED
        if not deciding or not all(change.passed_first_test for change in deciding):
            return False
        return above_line(count(self.first_test(version), self.label, self.horizon))

    def first_test(self, version: int | None = None) -> Evidence:
        """The bars that decided whether it may ever be kept, as the facts up to `version` tell it; without one none."""
        deciding = self._first_tests(self.version if version is None else version)
        return unite(Evidence.told((each.version, each.bars) for each in deciding))[0]

    def tested_through(self, position: int | None = None) -> int | None:
        """The bar time of the last bar that a first test recorded by then used; None when it was not tested by then."""
        used = [
            int(change.bars.times.max(initial=change.first_bar))
            for change in self.changes
            if change.passed_first_test is not None and (position is None or change.position <= position)
        ]
        return max(used, default=None)

    def bars_brought(self, version: int) -> EvidenceBars:
        """What the fact of that version carried; nothing where its evidence can't be read."""
        return self._change(version).bars

    def dataset_of(self, version: int) -> str:
        """The digest of the dataset from which that fact's bars are; empty where it carried none."""
        return self._change(version).evidence.dataset_digest

    def _change(self, version: int) -> Change:
        return next(change for change in self.changes if change.version == version)

    @cached_property
    def _united(self) -> tuple[Evidence, Evidence]:
        return unite(Evidence.told((each.version, each.bars) for each in self.changes))

    def _first_tests(self, version: int) -> list[Change]:
        """The facts that are its first test: of those recorded, the ones that begin with the earliest bar."""
        tests = [
            change for change in self.changes if change.version <= version and change.passed_first_test is not None
        ]
        first = min((change.first_bar for change in tests), default=0)
        return [change for change in tests if change.first_bar == first]


@dataclass(frozen=True, eq=False)
class View:
    """What was known of a pattern: only the facts that counted then, and of their bars those with labels known before
    `known_before`, in epoch seconds; None: all of them. `recorded`: state and counts are those that were recorded."""

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
        disputed = self.record.disputed
        times = np.unique(disputed.times[disputed.source <= self.changes[-1].version])
        return tuple(np.intersect1d(self.evidence.times, times).tolist())

    @property
    def validations(self) -> int:
        """How many facts after the first with evidence brought a bar that counts here."""
        first = next((change.version for change in self.changes if change.evidence.spans), 0)
        return len(np.unique(self.evidence.source[self.evidence.source > first]))

    @property
    def retired_reason(self) -> str:
        """Why it is retired: the last reason that was given since it was last above the line."""
        if self.state is not State.RETIRED:
            return ""
        for change in reversed(self.changes):
            if change.state is not State.RETIRED:
                break
            if change.reason:
                return change.reason
        return why_below(self.counts)


def stream_of(pattern_id: str) -> str:
    return PREFIX + pattern_id


def view(
    record: PatternRecord,
    position: int | None = None,
    known_before: int | None = None,
    market_time: int | None = None,
) -> View | None:
    """The pattern as of a log position; None when it was not recorded by then.

    Without a time as it was recorded. With `known_before` (epoch seconds) only bars whose label was known before it
    count, with `market_time` only facts of sessions up to it (see `PatternRecord.of_market`). The state is then the
    pattern's own: what covers it is a question to its whole scope, which `standing.views` answers. None, too, when no
    bar counts; but an offer is known from log time alone, so a pattern that was offered is OFFERED until a bar counts.
    A rule whose first test was not over at `known_before` is UNDECIDED: that it passed was known only later.
    """
    record = record.of_market(market_time)
    changes = record.changes
    if position is not None and changes and changes[-1].position > position:
        changes = tuple(change for change in changes if change.position <= position)
    if not changes:
        return None
    last = changes[-1]
    if known_before is None and market_time is None:
        return View(record, last.state, last.counts, changes, covered_by=last.covered_by, recorded=True)
    told = int(np.count_nonzero(record.evidence.source <= last.version))
    evidence = record.evidence.known(last.version, known_before)
    if not len(evidence):
        return View(record, State.OFFERED, Counts(), changes, known_before) if record.offer else None
    if len(evidence) == told and record.gap is None:
        return View(record, own_state(last), last.counts, changes, known_before)
    counts = count(evidence, record.label, record.horizon)
    if known_before is not None and bool((record.first_test(last.version).label_times >= known_before).any()):
        return View(record, State.UNDECIDED, counts, changes, known_before)
    return View(record, state_of(record, evidence, counts, changes), counts, changes, known_before)


def own_state(change: Change) -> State:
    """The state that a fact left, were there no other pattern to cover it."""
    return grade(change.counts) if change.state is State.COVERED else change.state


def state_of(record: PatternRecord, evidence: Evidence, counts: Counts, changes: tuple[Change, ...]) -> State:
    """The state of its own that `evidence`, with its counts, leaves after `changes`."""
    by_person = max((change.version for change in changes if change.by_person), default=None)
    fresh = None if by_person is None else count(evidence.brought_after(by_person), record.label, record.horizon)
    return after_evidence(record.admitted_by(changes[-1].version), counts, fresh)


def evolve(record: PatternRecord | None, fact: Fact, position: int = 0) -> PatternRecord:
    """The record after one more fact of its stream; InvalidInput for a fact that can't follow."""
    message, offered = fact.message, record is not None and record.state is State.OFFERED
    match message:
        case facts_pb2.PatternValidated() | facts_pb2.PatternRetired() if record is not None and not offered:
            return PatternRecord(record.definition, (*record.changes, Change.of(fact, message, position)), record.offer)
        case facts_pb2.PatternDiscovered() if (record is None or offered) and _names(message.pattern, fact):
            if not any(span.bars > 0 for span in message.evidence.spans):
                raise InvalidInput(f"{fact.topic} begins the evidence of {fact.stream} without a tested bar")
            earlier, offer = (record.changes, record.offer) if record else ((), None)
            return PatternRecord(_copy(message.pattern), (*earlier, Change.of(fact, message, position)), offer)
        case facts_pb2.PatternOffered() if record is None and _names(message.pattern, fact):
            return PatternRecord(_copy(message.pattern), (Change.of(fact, message, position),), message)
    raise InvalidInput(f"{fact.topic} can't be version {fact.version} of {fact.stream}")


def _names(definition: pattern_pb2.Pattern, fact: Fact) -> bool:
    """Is it the pattern of the fact's stream? InvalidInput for a task that is none."""
    Task.parse(definition.task)
    return stream_of(definition.id) == fact.stream


def _copy(definition: pattern_pb2.Pattern) -> pattern_pb2.Pattern:
    """Apart from the message, which would stay in memory as long as a part of it does."""
    apart = pattern_pb2.Pattern()
    apart.CopyFrom(definition)
    return apart
