"""When a pattern is kept, confirmed, retired or refuted: a function of its evidence, not of the order it came in.

- Its first test decides whether a rule may ever be kept: it must pass (Benjamini-Hochberg among the candidates of its
  session) and lie above the line. Otherwise the rule is REFUTED for good: it gets one test, and bars that arrive for
  it later are recorded and do not give it a second chance. Where sessions that ran side by side each tested it as a
  new rule, the tests that begin with the earliest bar are its first test: all of them must have passed, and the union
  of their bars must lie above the line.
- From then on the union of all evidence decides: above the line KEPT or CONFIRMED, below it RETIRED.
- After a person retired it, only bars recorded later count for its return: they alone must put it above the line.
- A pattern above the line that a simpler one says as well is COVERED (see covering).

Two things have a place in the order by nature: a person's word, and which of two datasets that disagree on a bar was
recorded first.
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
        """Models may use it."""
        return self in (State.KEPT, State.CONFIRMED)

    @property
    def holds(self) -> bool:
        """Its evidence lies above the line, whether or not another pattern covers it."""
        return self.active or self is State.COVERED


def above_line(counts: Counts) -> bool:
    return counts.probability_above_base >= KEEP_PROBABILITY and counts.confidence > counts.line


def grade(counts: Counts) -> State:
    """The state of a pattern above the line."""
    return State.CONFIRMED if counts.probability_above_line >= CONFIRM_PROBABILITY else State.KEPT


def after_first_test(passed: bool, counts: Counts) -> State:
    return grade(counts) if passed and above_line(counts) else State.REFUTED


def after_evidence(admitted: bool, counts: Counts, since_person: Counts | None) -> State:
    """`admitted`: the first test ended in a kept pattern. `since_person`: the counts of the bars recorded after a
    person retired it; None when nobody did."""
    if not admitted:
        return State.REFUTED
    kept = above_line(counts) and (since_person is None or above_line(since_person))
    return grade(counts) if kept else State.RETIRED


def why_below(counts: Counts) -> str:
    """In words, what put it below the line."""
    if counts.confidence <= counts.line:
        return f"confidence {counts.confidence:.1%} is not above the line of {counts.line:.1%}"
    return (
        f"P(hit rate > base rate of {counts.base_rate:.1%}) is {counts.probability_above_base:.3f}"
        f" on {counts.support} bars, {KEEP_PROBABILITY} needed"
    )
