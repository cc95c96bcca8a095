"""Scores have their known values, and their intervals agree with the methods that they are named after."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ratchet.errors import InvalidInput
from ratchet.statistics.diebold_mariano import diebold_mariano
from ratchet.statistics.scores import (
    Interval,
    accuracy,
    auc,
    auc_difference,
    auc_interval,
    brier,
    defined,
    mean_difference,
    wilson,
)

coarse = st.integers(0, 10).map(lambda k: k / 10)
forecasts = st.lists(st.tuples(coarse, st.integers(0, 1)), min_size=2, max_size=60)


def sample(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, most of them 1, a fair forecast of them and a noisier one."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(1.0, 1.0, size=n)
    y = rng.random(n) < 1 / (1 + np.exp(-logit))
    return y, 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-logit - rng.normal(size=n)))


def delong_variances(p_a: np.ndarray, p_b: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """DeLong's variance of AUC(p_a) and of AUC(p_b) - AUC(p_a), by comparing every positive with every negative."""

    def components(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wins = (p[y][:, None] > p[~y][None, :]) + 0.5 * (p[y][:, None] == p[~y][None, :])
        return wins.mean(axis=1), wins.mean(axis=0)

    (pos_a, neg_a), (pos_b, neg_b) = components(p_a), components(p_b)

    def variance(pos: np.ndarray, neg: np.ndarray) -> float:
        return float(pos.var(ddof=1) / len(pos) + neg.var(ddof=1) / len(neg))

    return variance(pos_a, neg_a), variance(pos_b - pos_a, neg_b - neg_a)


def test_brier_by_hand() -> None:
    assert brier([0.5, 0.9, 0.2], [1, 1, 0]) == pytest.approx((0.25 + 0.01 + 0.04) / 3)
    assert math.isnan(brier([], []))


def test_accuracy_counts_a_probability_of_one_half_as_outcome_0() -> None:
    assert accuracy([0.5, 0.9, 0.2, 0.6], [0, 1, 1, 1]).value == 0.75


def test_wilson_by_hand() -> None:
    # z^2 = 3.841459; 8 of 10
    interval = wilson(8, 10)
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.8, 0.4901625, 0.9433178), abs=1e-6)


def test_wilson_at_the_ends_and_without_trials() -> None:
    assert wilson(0, 20).low == 0.0
    assert wilson(20, 20).high == 1.0
    nothing = wilson(0, 0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    with pytest.raises(InvalidInput, match="11 hits of 10"):
        wilson(11, 10)


@given(forecasts)
def test_auc_agrees_with_its_definition_ties_included(rows: list[tuple[float, int]]) -> None:
    p, y = ([row[k] for row in rows] for k in (0, 1))
    positives, negatives = ([a for a, o in rows if o == k] for k in (1, 0))
    if not positives or not negatives:
        assert math.isnan(auc(p, y))
        return
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(positives, negatives)]
    assert auc(p, y) == pytest.approx(sum(wins) / len(wins))
    assert auc(p, y) == pytest.approx(roc_auc_score(y, p))


@given(st.lists(coarse, min_size=40, max_size=60), st.integers(1, 5))
def test_auc_intervals_hold_their_value_and_stay_in_range(p: list[float], horizon: int) -> None:
    y = [place % 2 for place in range(len(p))]
    interval = auc_interval(p, y, horizon)
    assert interval.value == auc(p, y)
    if not math.isnan(interval.low):
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_auc_intervals_are_delongs_on_average_when_bars_are_independent() -> None:
    levels, differences = [], []
    for seed in range(30):
        y, p_a, p_b = sample(400, seed)
        of_a, of_difference = (2 * 1.959964 * math.sqrt(v) for v in delong_variances(p_a, p_b, y))
        level, difference = auc_interval(p_a, y), auc_difference(p_a, p_b, y)
        levels.append((level.high - level.low) / of_a)
        differences.append((difference.high - difference.low) / of_difference)
        assert difference.value == pytest.approx(auc(p_b, y) - auc(p_a, y))
    assert np.mean(levels) == pytest.approx(1.0, abs=0.05)
    assert np.mean(differences) == pytest.approx(1.0, abs=0.05)


def test_auc_difference_covers_the_truth_at_about_its_rate() -> None:
    y, p_a, p_b = sample(100_000, seed=2)
    truth = auc(p_b, y) - auc(p_a, y)
    windows = [slice(k, k + 250) for k in range(0, 100_000, 250)]
    missed = sum(auc_difference(p_a[w], p_b[w], y[w]).excludes(truth) for w in windows)
    assert 0.02 <= missed / len(windows) <= 0.10


def test_what_can_not_be_estimated_excludes_nothing() -> None:
    for interval in (
        auc_interval([0.2, 0.3], [1, 1]),
        auc_interval([0.2, 0.8], [0, 1]),
        auc_difference([0.2, 0.3, 0.1], [0.2, 0.1, 0.3], [0, 1, 1]),
        mean_difference([0.1] * 7, 1),
        mean_difference([0.1] * 70, 1),
        mean_difference([], 1),
    ):
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert not interval.excludes(0.0)


@pytest.mark.parametrize("rare", [0, 1])
def test_fewer_than_20_bars_of_a_class_define_no_auc(rare: int) -> None:
    _, p_a, p_b = sample(200)
    for count, known in ((20, True), (19, False)):
        y = np.where(np.arange(200) < count, rare, 1 - rare).astype(bool)
        assert defined(y) is known
        for found in (auc_interval(p_a, y), auc_difference(p_a, p_b, y)):
            assert math.isfinite(found.value) is math.isfinite(found.low) is known


@pytest.mark.parametrize(
    "recalibrate",
    [
        lambda p: p,
        lambda p: p**4,
        lambda p: np.round(p, 2),
        lambda p: np.clip(p, 0.3, 0.7),
        lambda p: p + 1e-15 * np.random.default_rng(1).normal(size=len(p)),
        lambda p: 1 / (1 + np.exp(-40 * (p - 0.2))),
    ],
    ids=["same", "bent", "rounded", "clipped", "rounding noise", "saturated"],
)
def test_rankings_that_are_equal_up_to_ties_have_no_auc_difference(
    recalibrate: Callable[[np.ndarray], np.ndarray],
) -> None:
    y, p, other = sample(400)
    copy = recalibrate(p)
    for found in (auc_difference(p, copy, y), auc_difference(copy, p, y)):
        assert found.value == 0.0
        assert not found.excludes(0.0)
    assert math.isfinite(auc_difference(other, copy, y).low)


def test_a_constant_forecast_ranks_nothing_and_is_compared_as_it_is() -> None:
    y, p, _ = sample(400)
    found = auc_difference(np.full(400, 0.6), p, y)
    assert found.value == auc(p, y) - 0.5
    assert found.low > 0


def test_an_interval_excludes_what_lies_outside() -> None:
    interval = Interval(2.0, 1.0, 3.0)
    assert [interval.excludes(x) for x in (0.9, 1.0, 3.0, 3.1)] == [True, False, False, True]
    assert interval.scaled(10.0) == Interval(20.0, 10.0, 30.0)


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("shift", [0.0, 0.11, 0.14, 0.17, 0.2, 0.3])
def test_the_interval_and_the_test_never_contradict_each_other(horizon: int, shift: float) -> None:
    d = np.random.default_rng(11).normal(shift, 1.0, 120)
    assert (mean_difference(d, horizon, 0.90).low > 0) == (diebold_mariano(d, horizon).p < 0.05)


def test_mean_difference_by_hand() -> None:
    # d = 1 … 9: mean 5, variance 60/9, HLN (9 + 1 - 2)/9 makes the squared error (60/9)/8; t(.975, 8) = 2.306004
    interval = mean_difference(np.arange(1.0, 10.0), 1)
    half = 2.306004 * math.sqrt(60 / 9 / 8)
    assert (interval.value, interval.low, interval.high) == pytest.approx((5, 5 - half, 5 + half), abs=1e-5)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(InvalidInput, match="p 2, y 1"):
        brier([0.1, 0.2], [1])
    with pytest.raises(InvalidInput, match="p 1, y 2"):
        auc_difference([0.1, 0.2], [0.1], [1, 0])
