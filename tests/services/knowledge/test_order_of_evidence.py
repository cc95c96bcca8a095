"""Any order, repetition and overlap of the same evidence gives the same state: of first tests, updates and covering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from services.knowledge.domain import pattern_views
from services.knowledge.domain.rules import State
from services.knowledge.handlers.application import evidence_facts
from services.knowledge.projection.state import KnowledgeState, fold
from tests.support.planted_rule import SERIES, SNAPSHOTS, TASK, Truth, narrowed, pattern, session

BARS = 900
SIMPLE = Truth.drawn(1, BARS)
RANDOM = np.random.default_rng(2)


def near(share: float) -> Truth:
    """Fires where SIMPLE does, but on a share of the bars where it does."""
    return replace(SIMPLE, fired=SIMPLE.fired & (RANDOM.random(BARS) < share))


RULES: dict[str, tuple[pattern_pb2.Pattern, Truth]] = {
    "simple": (pattern("simple"), SIMPLE),
    "twin": (narrowed("twin"), near(0.95)),
    "implied": (narrowed("implied", "atr_14"), near(0.5)),
    "other": (pattern("other", 30.0), replace(SIMPLE, fired=RANDOM.random(BARS) < 0.2)),
}


@dataclass(frozen=True)
class Piece:
    """What one session brings of one rule; `passed` is None for an update."""

    rule: str
    start: int
    bars: int
    passed: bool | None

    def tested(self) -> knowledge_pb2.TestedPattern:
        definition, truth = RULES[self.rule]
        evidence = truth.evidence((self.start, min(BARS - 1, self.start + self.bars)))
        if self.passed is None:
            return knowledge_pb2.TestedPattern(pattern=definition, evidence=evidence)
        return knowledge_pb2.TestedPattern(pattern=definition, evidence=evidence, p_value=0.01, passed=self.passed)


def told(pieces: Sequence[Piece]) -> KnowledgeState:
    """Each piece by a session of its own. What updates a rule that nobody has tested yet waits until one has."""
    state, waiting = KnowledgeState(snapshots=SNAPSHOTS), list(pieces)
    while ready := next((each for each in waiting if each.passed is not None or each.rule in state.patterns), None):
        waiting.remove(ready)
        state = recorded(state, session(f"s{len(pieces) - len(waiting)}", ready.tested()))
    return state


def recorded(state: KnowledgeState, request: knowledge_pb2.RecordEvidenceRequest) -> KnowledgeState:
    facts = evidence_facts(request, state)
    positions = range(state.position + 1, state.position + 1 + len(facts))
    return fold(state, list(zip(positions, facts, strict=True)), state.position + len(facts))


def known(state: KnowledgeState, before: int | None = None) -> dict[str, object]:
    return {
        found.record.id: (
            found.state,
            found.covered_by,
            found.counts,
            found.evidence.times.tolist(),
            found.evidence.label_times.tolist(),
            found.evidence.fired.tolist(),
            found.evidence.outcomes.tolist(),
            found.conflicts,
        )
        for found in pattern_views.views(state.scope(SERIES, TASK), None, before)
    }


first_tests = st.builds(
    Piece,
    st.sampled_from(list(RULES)),
    st.sampled_from([0, 50, 300]),
    st.integers(100, 600),
    st.integers(0, 9).map(bool),
)
updates = st.builds(Piece, st.sampled_from(list(RULES)), st.integers(0, BARS - 2), st.integers(1, 400), st.none())


@settings(deadline=None, max_examples=60)
@given(
    tests=st.lists(first_tests, min_size=1, max_size=5),
    later=st.lists(updates, max_size=6),
    before=st.integers(0, BARS),
    data=st.data(),
)
def test_any_order_repetition_and_overlap_of_the_same_evidence_gives_the_same_state(
    tests: list[Piece], later: list[Piece], before: int, data: st.DataObject
) -> None:
    story = tests + later
    again = data.draw(st.lists(st.sampled_from(story), max_size=3))
    one, other = told(story), told(data.draw(st.permutations(story + again)))
    assert known(one) == known(other)
    assert known(one, SIMPLE.time(before)) == known(other, SIMPLE.time(before))


@settings(deadline=None, max_examples=30)
@given(tests=st.lists(first_tests, min_size=1, max_size=4), later=st.lists(updates, max_size=6))
def test_the_recorded_covering_is_that_of_all_evidence_at_any_time(tests: list[Piece], later: list[Piece]) -> None:
    state = told(tests + later)
    end = SIMPLE.time(BARS + 1)
    assert known(state) == known(state, end)


def test_of_first_tests_made_side_by_side_those_that_begin_earliest_decide() -> None:
    late, early = Piece("simple", 300, 500, True), Piece("simple", 0, 500, False)
    for order in ([late, early], [early, late]):
        assert told(order).patterns["simple"].state is State.REFUTED
    passed = replace(early, passed=True)
    for order in ([replace(late, passed=False), passed], [passed, replace(late, passed=False)]):
        assert told(order).patterns["simple"].state is State.CONFIRMED


def test_first_tests_on_the_same_bars_must_all_have_passed() -> None:
    passed, failed = Piece("simple", 0, 600, True), Piece("simple", 0, 650, False)
    for order in ([passed, failed], [failed, passed]):
        record = told(order).patterns["simple"]
        assert (record.state, record.admitted, len(record.first_test())) == (State.REFUTED, False, 650)
    assert told([passed, replace(failed, passed=True)]).patterns["simple"].admitted


def test_a_second_first_test_is_recorded_with_its_p_value() -> None:
    state = told([Piece("simple", 300, 500, True), Piece("simple", 0, 500, True)])
    [_, second] = state.patterns["simple"].changes
    message = second.message
    assert isinstance(message, facts_pb2.PatternValidated)
    assert (message.p_value, message.passed, message.candidates_tested) == (0.01, True, 20)
    assert state.patterns["simple"].tested_through() == SIMPLE.time(799)
    assert state.patterns["simple"].first_test().times[-1] == SIMPLE.time(499)


def test_a_discovery_that_does_not_say_that_it_passed_is_read_by_its_state() -> None:
    [fact] = evidence_facts(session("s1", Piece("simple", 0, 600, True).tested()), KnowledgeState(snapshots=SNAPSHOTS))[
        :1
    ]
    assert isinstance(fact.message, facts_pb2.PatternDiscovered)
    fact.message.ClearField("passed")
    old = fold(KnowledgeState(snapshots=SNAPSHOTS), [(1, fact)], 1)
    assert old.patterns["simple"].admitted
    beside = recorded(old, session("s2", Piece("simple", 300, 500, False).tested()))
    assert beside.patterns["simple"].state is State.CONFIRMED
    same_bars = recorded(old, session("s2", Piece("simple", 0, 500, True).tested()))
    assert same_bars.patterns["simple"].admitted
