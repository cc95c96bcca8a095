"""The life of a pattern: tested once, kept or refuted, confirmed, retired, revived. Without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from services.knowledge.domain.counts import count
from services.knowledge.domain.decide import record_evidence, retire
from services.knowledge.domain.pattern import PatternRecord, evolve, view
from services.knowledge.domain.rules import State
from tests.support.planted_rule import LOGISTIC, ROWS, SNAPSHOTS, Truth, first_test, met_again, session

GOOD = Truth.drawn(1, bars=2000)
BAD = Truth.drawn(1, bars=2000, hit_rate=0.35)
LONG = Truth.drawn(1, bars=ROWS)
SPLIT = 1000
TURNING = replace(GOOD, outcomes=GOOD.outcomes.copy())
TURNING.outcomes[SPLIT:] = BAD.outcomes[SPLIT:]


def after(record: PatternRecord | None, tested: knowledge_pb2.TestedPattern, session_id: str = "s") -> PatternRecord:
    fact = record_evidence(record, tested, session(session_id), SNAPSHOTS)
    assert fact is not None
    return evolve(record, fact, SNAPSHOTS, position=fact.version)


def discovered(truth: Truth, start: int, stop: int, passed: bool = True) -> PatternRecord:
    return after(None, first_test(truth, (start, stop), passed=passed))


def retired_by_person(record: PatternRecord, reason: str = "the data was wrong") -> PatternRecord:
    fact = retire(record, reason)
    return evolve(record, fact, SNAPSHOTS, position=fact.version)


def test_a_rule_that_passes_and_lies_above_the_line_is_kept_and_soon_confirmed() -> None:
    assert discovered(Truth.drawn(5, hit_rate=0.72), 0, 250).state is State.KEPT
    assert discovered(GOOD, 0, 800).state is State.CONFIRMED


def test_a_rule_that_did_not_pass_is_refuted_whatever_its_counts_and_for_good() -> None:
    record = discovered(GOOD, 0, 800, passed=False)
    assert record.state is State.REFUTED
    assert after(record, met_again(GOOD, (800, 1600))).state is State.REFUTED
    assert after(record, first_test(GOOD, (800, 1600))).state is State.REFUTED


def test_a_rule_that_passed_below_the_line_is_refuted() -> None:
    record = discovered(Truth.drawn(3, hit_rate=0.5), 0, 800)
    assert (record.state, record.changes[0].counts.confidence < 0.6) == (State.REFUTED, True)


def test_a_kept_pattern_that_falls_below_the_line_is_retired_by_the_gate_and_says_why() -> None:
    record = discovered(GOOD, 0, 400)
    fact = record_evidence(record, met_again(TURNING, (SPLIT, 1900)), session("s2"), SNAPSHOTS)
    assert fact is not None
    message = fact.message
    assert isinstance(message, facts_pb2.PatternRetired)
    assert message.decided_by == decision_pb2.DECIDED_BY_GATE
    assert "is not above the line of 60.0%" in message.reason
    assert message.before == record.counts.message()
    assert evolve(record, fact, SNAPSHOTS).state is State.RETIRED


def test_new_evidence_revives_a_retired_pattern() -> None:
    record = after(discovered(GOOD, 0, 200), met_again(BAD, (200, 500)))
    assert record.state is State.RETIRED
    assert after(record, met_again(GOOD, (500, 2000))).state.active


def test_after_a_persons_retirement_only_later_bars_count_for_a_return() -> None:
    record = retired_by_person(discovered(GOOD, 0, 800))
    assert (record.state, view(record).retired_reason) == (State.RETIRED, "the data was wrong")  # type: ignore[union-attr]
    repeated = after(record, met_again(GOOD, (0, 800)))
    assert repeated.state is State.RETIRED
    few = after(repeated, met_again(GOOD, (800, 810)))
    assert few.state is State.RETIRED
    assert view(few).retired_reason == "the data was wrong"  # type: ignore[union-attr]
    assert after(few, met_again(GOOD, (810, 1400))).state.active


def test_retiring_needs_a_reason_and_something_to_retire() -> None:
    record = discovered(GOOD, 0, 800)
    with pytest.raises(InvalidInput, match="needs a reason"):
        retire(record, "  ")
    with pytest.raises(PreconditionFailed, match="refuted"):
        retire(discovered(GOOD, 0, 800, passed=False), "why not")
    with pytest.raises(PreconditionFailed, match="already: the data was wrong"):
        retire(retired_by_person(record), "again")


@pytest.mark.parametrize(
    ("tested", "word"),
    [
        (first_test(GOOD), "without a tested bar"),
        (met_again(GOOD, (0, 100)), "without the p value"),
        (first_test(LONG, (ROWS - 104, ROWS - 4), task="range-h5"), "has 100 bars .* with labels 5 bars later"),
    ],
)
def test_a_first_test_has_bars_a_p_value_and_their_labels(tested: knowledge_pb2.TestedPattern, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        record_evidence(None, tested, session("s"), SNAPSHOTS)


def test_an_id_stands_for_one_rule() -> None:
    tested = met_again(GOOD, (0, 100))
    tested.pattern.rule.conditions[0].threshold = 71
    with pytest.raises(InvalidInput, match="needs an id of its own"):
        record_evidence(discovered(GOOD, 0, 800), tested, session("s"), SNAPSHOTS)


def test_a_known_pattern_without_new_bars_makes_no_fact() -> None:
    assert record_evidence(discovered(GOOD, 0, 800), met_again(GOOD), session("s"), SNAPSHOTS) is None


def test_a_validation_carries_what_was_before_what_is_after_and_the_bars_in_dispute() -> None:
    record = discovered(GOOD, 0, 800)
    conflicting = replace(GOOD, outcomes=~GOOD.outcomes, digest="d2")
    fact = record_evidence(record, met_again(conflicting, (798, 801)), session("s2", lineage=LOGISTIC), SNAPSHOTS)
    assert fact is not None
    message = fact.message
    assert isinstance(message, facts_pb2.PatternValidated)
    assert list(message.conflicting_rows) == [798, 799]
    assert (message.before.bars, message.after.bars) == (800, 801)
    found = view(evolve(record, fact, SNAPSHOTS))
    assert found is not None
    assert found.conflicts == (GOOD.time(798), GOOD.time(799))


def test_deciding_is_deterministic() -> None:
    facts = [record_evidence(None, first_test(GOOD, (0, 800)), session("s"), SNAPSHOTS) for _ in range(2)]
    assert facts[0] == facts[1]


spans = st.tuples(st.integers(250, 1900), st.integers(1, 400)).map(lambda s: (s[0], min(1999, s[0] + s[1])))


@settings(deadline=None, max_examples=40)
@given(story=st.lists(spans, min_size=1, max_size=6), data=st.data(), turning=st.booleans())
def test_any_order_repetition_or_overlap_of_the_same_evidence_gives_the_same_state(
    story: list[tuple[int, int]], data: st.DataObject, turning: bool
) -> None:
    truth = TURNING if turning else GOOD
    retold = data.draw(st.permutations(story + data.draw(st.lists(st.sampled_from(story), max_size=3))))
    ends = []
    for order in (story, retold):
        record = discovered(truth, 0, 250)
        for number, each in enumerate(order):
            record = after(record, met_again(truth, each), f"s{number}")
        ends.append((record.state, record.counts))
    assert ends[0] == ends[1]


@settings(deadline=None, max_examples=40)
@given(story=st.lists(spans, min_size=1, max_size=5), at=st.integers(1, 6), before=st.integers(0, 2000))
def test_the_past_is_what_a_shorter_story_would_have_told(story: list[tuple[int, int]], at: int, before: int) -> None:
    record = discovered(TURNING, 0, 250)
    past = record
    for number, each in enumerate(story, start=2):
        record = after(record, met_again(TURNING, each))
        past = record if number <= at else past
    then, now = view(record, at, TURNING.time(before)), view(past, None, TURNING.time(before))
    assert (then is None) == (now is None)
    if then and now:
        assert (then.state, then.counts, then.conflicts) == (now.state, now.counts, now.conflicts)
        assert then.counts == count(then.evidence, True, 1)


def test_a_rule_is_undecided_until_the_last_label_of_its_first_test_is_known() -> None:
    record = discovered(GOOD, 0, 800)
    early, over = view(record, None, GOOD.time(800)), view(record, None, GOOD.time(801))
    assert early is not None
    assert over is not None
    assert (early.state, early.counts.bars) == (State.UNDECIDED, 799)
    assert (over.state, over.counts.bars) == (State.CONFIRMED, 800)
    assert view(record, None, GOOD.time(0)) is None
    assert view(record, 0) is None


def test_later_evidence_is_not_seen_from_an_earlier_market_time() -> None:
    record = after(discovered(TURNING, 0, 400), met_again(TURNING, (400, 1999)))
    assert record.state is State.RETIRED
    earlier = view(record, None, TURNING.time(900))
    assert earlier is not None
    assert (earlier.state, earlier.counts.bars, earlier.validations) == (State.CONFIRMED, 899, 1)


def test_facts_in_an_impossible_order_are_refused() -> None:
    fact = record_evidence(None, first_test(GOOD, (0, 800)), session("s"), SNAPSHOTS)
    assert fact is not None
    with pytest.raises(InvalidInput, match="can't be version 1 of pattern/aa11"):
        evolve(discovered(GOOD, 0, 800), fact, SNAPSHOTS)
