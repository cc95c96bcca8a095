"""What became of the rules that were tested, by series and type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.statistics.special import betainc
from services.knowledge.domain.decide import record_evidence
from services.knowledge.domain.pattern import PatternRecord, PatternView, evolve, view
from services.knowledge.domain.rates import UNTYPED, RuleOutcome, SuccessRate, jeffreys, outcome_of, rates
from services.knowledge.domain.rules import State
from tests.support.planted_rule import SERIES, SNAPSHOTS, Truth, first_test, met_again, session

GOOD = Truth.drawn(1, bars=2000)
WEAK = Truth.drawn(2, bars=2000, hit_rate=0.45)

outcomes = st.builds(
    lambda series, kind, state, support: RuleOutcome(
        series, kind, state is not State.REFUTED, state, support, support // 2, 0.4 * support
    ),
    st.sampled_from(("AAPL", "MSFT")),
    st.sampled_from(("level", "cross", "calendar")),
    st.sampled_from((State.REFUTED, State.KEPT, State.CONFIRMED, State.RETIRED, State.COVERED)),
    st.integers(0, 50),
)


def recorded(*told: knowledge_pb2.TestedPattern) -> PatternRecord:
    record = None
    for position, tested in enumerate(told, start=1):
        fact = record_evidence(record, tested, session(f"s{position}"), SNAPSHOTS)
        assert fact is not None
        record = evolve(record, fact, SNAPSHOTS, position)
    assert record is not None
    return record


def seen(record: PatternRecord, position: int | None = None) -> PatternView:
    found = view(record, position)
    assert found is not None
    return found


def by_group(found: Sequence[SuccessRate]) -> dict[tuple[str, str], SuccessRate]:
    return {(each.series, each.type): each for each in found}


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (3, 10, 0.09269459393815316, 0.6058183181486713),
        (1, 20, 0.005449032581426599, 0.2108186362492652),
        (7, 250, 0.012609715054987926, 0.05418322224961396),
        (50, 100, 0.40317395089641805, 0.596826049103582),
        (0, 10, 0.0, 0.21719626750921053),
        (10, 10, 0.7828037324907894, 1.0),
    ],
)
def test_the_interval_is_that_of_jeffreys(successes: int, trials: int, low: float, high: float) -> None:
    """Known values: scipy.stats.beta.ppf, and 0 and 1 where nothing or everything succeeded."""
    assert jeffreys(successes, trials) == pytest.approx((low, high), abs=1e-9)


def test_the_interval_covers_the_true_rate_as_often_as_it_says() -> None:
    """Mean coverage over all rates is 95 % for the posterior's own prior, whatever the number of trials."""
    random = np.random.default_rng(5)
    rate = random.beta(0.5, 0.5, 4000)
    successes = random.binomial(40, rate)
    limits = {k: jeffreys(k, 40) for k in range(41)}
    covered = [limits[k][0] <= p <= limits[k][1] for k, p in zip(successes.tolist(), rate.tolist(), strict=True)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    assert all(low <= k / 40 <= high for k, (low, high) in limits.items())
    assert betainc(10.5, 30.5, limits[10][0]) == pytest.approx(0.025)


def test_rates_come_by_series_and_type_with_all_together_first() -> None:
    found = rates(
        [
            RuleOutcome("MSFT", "level", True, State.KEPT),
            RuleOutcome("AAPL", "level", False, State.REFUTED),
            RuleOutcome("AAPL", "cross", True, State.RETIRED),
        ],
        over_all_series=True,
    )
    assert [(each.series, each.type, each.tested, each.admitted) for each in found] == [
        ("", "", 3, 2),
        ("", "cross", 1, 1),
        ("", "level", 2, 1),
        ("AAPL", "", 2, 1),
        ("AAPL", "cross", 1, 1),
        ("AAPL", "level", 1, 0),
        ("MSFT", "", 1, 1),
        ("MSFT", "level", 1, 1),
    ]
    assert [each.share for each in found[:3]] == pytest.approx([2 / 3, 1.0, 0.5])
    assert (found[0].low, found[0].high) == jeffreys(2, 3)


@given(told=st.lists(outcomes, max_size=30), data=st.data())
def test_every_tested_rule_is_counted_once_in_each_sum(told: list[RuleOutcome], data: st.DataObject) -> None:
    found = by_group(rates(told, over_all_series=True))
    assert found == by_group(rates(data.draw(st.permutations(told)), over_all_series=True))
    for (series, kind), whole in found.items():
        assert whole.in_force + whole.retired + whole.covered == whole.admitted <= whole.tested
        assert 0.0 <= whole.low <= whole.share <= whole.high <= 1.0
        for parts in (
            [each for key, each in found.items() if not series and key[0] and key[1] == kind],
            [each for key, each in found.items() if not kind and key[1] and key[0] == series],
        ):
            for name in ("tested", "admitted", "in_force", "retired", "covered", "later_support", "later_hits"):
                assert not parts or sum(getattr(each, name) for each in parts) == getattr(whole, name)


def test_one_series_alone_has_no_row_of_all_series() -> None:
    assert {each.series for each in rates([RuleOutcome("AAPL", "level", True, State.KEPT)], over_all_series=False)} == {
        "AAPL"
    }
    assert rates([], over_all_series=True) == ()


def test_the_base_rate_of_several_rules_is_what_they_would_hit_if_firing_said_nothing() -> None:
    often = RuleOutcome("AAPL", "level", True, State.KEPT, later_support=90, later_hits=60, later_expected=0.5 * 90)
    seldom = RuleOutcome("AAPL", "level", True, State.KEPT, later_support=10, later_hits=9, later_expected=0.8 * 10)
    never = RuleOutcome("AAPL", "level", True, State.KEPT)
    [found, _] = rates([often, seldom, never], over_all_series=False)
    assert (found.later_support, found.later_hits) == (100, 69)
    assert found.later_base_rate == pytest.approx(0.53)
    [untried, _] = rates([never], over_all_series=False)
    assert (untried.later_support, untried.later_base_rate) == (0, 0.0)


def test_only_bars_outside_of_its_first_test_tell_how_an_admitted_rule_went_on() -> None:
    found = outcome_of(seen(recorded(first_test(GOOD, (0, 800)), met_again(GOOD, (700, 1000)))))
    fired, came = GOOD.fired[800:1000], GOOD.outcomes[800:1000]
    assert (found.series, found.type, found.admitted, found.state) == (SERIES, "level", True, State.CONFIRMED)
    assert (found.later_support, found.later_hits) == (fired.sum(), came[fired].sum())
    assert found.later_expected == pytest.approx(fired.sum() * came.mean())


def test_a_refuted_rule_was_tested_and_no_more() -> None:
    found = outcome_of(seen(recorded(first_test(WEAK, (0, 800)), met_again(WEAK, (800, 1000)))))
    assert found == RuleOutcome(SERIES, "level", admitted=False, state=State.REFUTED)


def test_the_past_knows_only_the_bars_of_its_own_facts() -> None:
    record = recorded(first_test(GOOD, (0, 800)), met_again(GOOD, (800, 1000)))
    assert outcome_of(seen(record, 1)).later_support == 0
    assert outcome_of(seen(record, 2)).later_support == GOOD.fired[800:1000].sum()


def test_a_rule_whose_type_nobody_told_is_not_taken_for_all_types() -> None:
    nameless = first_test(GOOD, (0, 800))
    nameless.pattern.ClearField("type")
    found = rates([outcome_of(seen(recorded(nameless)))], over_all_series=False)
    assert [(each.type, each.tested) for each in found] == [("", 1), (UNTYPED, 1)]
