# ruff: noqa: N806
"""A rule is readable, has one canonical form, and fires only where it is known to hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.scoring.rule import OPS, Condition, Rule, pattern_id

HOT = Condition("rsi_14", ">", 70.0)
BUSY = Condition("volume_ratio_20", ">", 2.0)

conditions = st.builds(
    Condition,
    st.sampled_from(["rsi_14", "weekday", "volume_ratio_20", "range_regime"]),
    st.sampled_from(OPS),
    st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.12g}") + 0.0),
)
rules = st.builds(Rule, st.lists(conditions, min_size=1, max_size=2).map(tuple), st.sampled_from([0, 1]))


def test_the_order_of_conditions_does_not_matter() -> None:
    assert Rule((HOT, BUSY), 1) == Rule((BUSY, HOT), 1)
    assert pattern_id(Rule((HOT, BUSY), 1), "AAPL", "range") == pattern_id(Rule((BUSY, HOT), 1), "AAPL", "range")


def test_the_identity_depends_on_rule_direction_series_and_task_and_never_changes() -> None:
    ids = {
        pattern_id(Rule((HOT,), 1), "AAPL", "range"),
        pattern_id(Rule((HOT,), 0), "AAPL", "range"),
        pattern_id(Rule((HOT,), 1), "GOOG", "range"),
        pattern_id(Rule((HOT,), 1), "AAPL", "range-h5"),
        pattern_id(Rule((Condition("rsi_14", ">", 71.0),), 1), "AAPL", "range"),
    }
    assert len(ids) == 5
    assert pattern_id(Rule((HOT, BUSY), 1), "AAPL", "range") == "b45781465491e5e1"


@given(rules)
def test_the_text_of_a_rule_reads_back_as_the_rule(rule: Rule) -> None:
    assert Rule.parse(str(rule)) == rule


@pytest.mark.parametrize("text", ["", "rsi_14 > 70", "rsi_14 >= 70 -> 1", "rsi_14 > 70 -> 2", "rsi_14 > seventy -> 1"])
def test_text_that_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a"):
        Rule.parse(text)


def test_three_conditions_or_an_endless_threshold_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one or two conditions"):
        Rule((HOT, BUSY, HOT), 1)
    with pytest.raises(InvalidInput, match="a number"):
        Condition("rsi_14", ">", float("inf"))


def test_it_fires_where_all_conditions_hold_and_never_on_the_unknown() -> None:
    X = np.array([[71.0, 3.0], [70.0, 3.0], [71.0, 2.0], [np.nan, 3.0], [71.0, np.nan]])
    names = ("rsi_14", "volume_ratio_20")
    assert Rule((HOT, BUSY), 1).fires(X, names).tolist() == [True, False, False, False, False]
    low = Rule((Condition("rsi_14", "<=", 70.0),), 0)
    assert low.fires(X, names).tolist() == [False, True, False, False, False]
    with pytest.raises(InvalidInput, match="unknown feature rsi_14"):
        low.fires(X, ("a", "b"))


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (Rule((HOT,), 1), "level"),
        (Rule((Condition("macd_histogram", ">", 0.0),), 1), "level"),
        (Rule((Condition("bars_since_ema_12_crossed_above_ema_26", "<=", 0.0),), 1), "cross"),
        (Rule((Condition("cdl_hammer", "is", 1.0),), 1), "candle"),
        (Rule((Condition("weekday", "is", 0.0),), 1), "calendar"),
        (Rule((BUSY,), 1), "volume"),
        (Rule((HOT, BUSY), 1), "combination"),
    ],
)
def test_a_rule_has_a_kind(rule: Rule, kind: str) -> None:
    assert rule.kind == kind
