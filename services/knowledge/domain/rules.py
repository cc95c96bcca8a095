"""State rules of a pattern: kept, confirmed, retired or refuted, as a function of its evidence, not of its order.

- The first test decides whether a rule may ever be kept: it must pass (Benjamini-Hochberg among the candidates of its
  session) and exceed the retention threshold. Otherwise the rule is REFUTED for good: later bars are recorded and give
  it no second chance. If concurrent sessions each tested it as a new rule, the tests that begin with the earliest bar
  are its first test: all of them must pass, and the union of their bars must exceed the threshold.
- From then on the union of all evidence decides: above the threshold KEPT or CONFIRMED, below it RETIRED.
- After a person retired it, only bars recorded later count for its return: they alone must exceed the threshold.
- A pattern above the threshold that a simpler one subsumes is COVERED (see subsumption).

Two things depend on order: a person's decision, and the precedence between two datasets that disagree on a bar.
"""

from __future__ import annotations

from enum import IntEnum

from ratchet.events.v1 import pattern_pb2
from services.knowledge.domain.counts import Counts

KEEP_PROBABILITY = 0.95
CONFIRM_PROBABILITY = 0.90


class State(IntEnum):
    """The numbers are those of ratchet.events.v1.PatternState. UNDECIDED: its first test was not over by then."""

    UNDECIDED = pattern_pb2.PATTERN_STATE_UNSPECIFIED
    REFUTED = pattern_pb2.PATTERN_STATE_REFUTED
    KEPT = pattern_pb2.PATTERN_STATE_KEPT
    CONFIRMED = pattern_pb2.PATTERN_STATE_CONFIRMED
    RETIRED = pattern_pb2.PATTERN_STATE_RETIRED
    OFFERED = pattern_pb2.PATTERN_STATE_OFFERED
    COVERED = pattern_pb2.PATTERN_STATE_COVERED

    @property
    def active(self) -> bool:
        """Whether models may use it."""
        return self in (State.KEPT, State.CONFIRMED)

    @property
    def holds(self) -> bool:
        """Whether its evidence exceeds the threshold, with or without a subsuming pattern."""
        return self.active or self is State.COVERED


def above_threshold(counts: Counts) -> bool:
    return counts.probability_above_base >= KEEP_PROBABILITY and counts.confidence > counts.retention_threshold


def grade(counts: Counts) -> State:
    """The state of a pattern above the threshold."""
    return State.CONFIRMED if counts.probability_above_line >= CONFIRM_PROBABILITY else State.KEPT


def after_first_test(passed: bool, counts: Counts) -> State:
    return grade(counts) if passed and above_threshold(counts) else State.REFUTED


def after_evidence(admitted: bool, counts: Counts, since_person: Counts | None) -> State:
    """`admitted`: the first test kept the pattern.

    `since_person`: the counts of the bars recorded after a person retired it; None if nobody did.
    """
    if not admitted:
        return State.REFUTED
    kept = above_threshold(counts) and (since_person is None or above_threshold(since_person))
    return grade(counts) if kept else State.RETIRED


def retirement_reason(counts: Counts) -> str:
    """The reason for falling below the threshold, as text."""
    if counts.confidence <= counts.retention_threshold:
        return f"confidence {counts.confidence:.1%} is not above the line of {counts.retention_threshold:.1%}"
    return (
        f"P(hit rate > base rate of {counts.base_rate:.1%}) is {counts.probability_above_base:.3f}"
        f" on {counts.support} bars, {KEEP_PROBABILITY} needed"
    )
