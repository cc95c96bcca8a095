# ruff: noqa: N806
"""online@baseline is a fold: carried on it is what it is folded at once, and in the end it is a logistic regression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import planted
from ratchet.scoring.baselines.newton import FORGETTING, RecursiveNewton
from ratchet.scoring.baselines.online import CLIP, Moments, OnlineBaseline, bayesian_mixture
from ratchet.scoring.data.bars import WARM_UP, Bars
from ratchet.scoring.models.newton import ridge_logistic
from ratchet.scoring.models.port import Floats, sigmoid
from ratchet.scoring.targets import labels

BARS = planted.series(3)[0].head(700)
PLANTED = np.array([1.0, -0.6, 0.3, 0.0, -0.4])
RIDGE = 20.0


@pytest.mark.parametrize("horizon", [1, 5])
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, len(BARS)), max_size=5))
def test_carried_on_from_any_bar_it_is_the_fold_over_all_bars_to_the_bit(horizon: int, cuts: list[int]) -> None:
    expected = OnlineBaseline.fit(BARS, "range", horizon)
    fold = OnlineBaseline.fit(BARS.head(0), "range", horizon)
    for cut in [*sorted(cuts), len(BARS)]:
        fold = fold.extend(BARS.head(cut))
        assert fold.z.tobytes() == expected.z[:cut].tobytes()


def test_it_answers_for_its_bars_for_more_of_them_and_for_others() -> None:
    fold = OnlineBaseline.fit(BARS.head(500), "range", 1)
    expected = OnlineBaseline.fit(BARS, "range", 1).z
    for count in (0, 300, 500, 700):
        assert fold.log_odds(BARS.head(count)).tobytes() == expected[:count].tobytes()
    other = BARS._select(slice(50, 600))
    assert fold.log_odds(other).tobytes() == OnlineBaseline.fit(other, "range", 1).z.tobytes()


def test_a_volume_that_begins_is_carried_on() -> None:
    silent = replace(BARS, volume=np.where(np.arange(len(BARS)) < 600, 0.0, BARS.volume))
    fold = OnlineBaseline.fit(silent.head(590), "range", 1)
    assert fold.log_odds(silent).tobytes() == OnlineBaseline.fit(silent, "range", 1).z.tobytes()


@pytest.mark.parametrize("horizon", [1, 5])
def test_it_begins_with_the_first_bar_after_the_warm_up_without_an_opinion(horizon: int) -> None:
    z = OnlineBaseline.fit(BARS, "range", horizon).z
    assert np.isnan(z[:WARM_UP]).all()
    assert np.isfinite(z[WARM_UP:]).all()
    assert (z[WARM_UP : WARM_UP + horizon] == 0.0).all()
    assert z[WARM_UP + horizon] != 0.0


def stationary(n: int = 4000) -> tuple[Floats, Floats]:
    """Inputs float64[n, 5] with a column of ones, and labels drawn by the PLANTED weights."""
    generator = np.random.default_rng(2)
    Z = np.column_stack([generator.normal(size=(n, 4)), np.ones(n)])
    return Z, (generator.random(n) < sigmoid(Z @ PLANTED)).astype(np.float64)


def test_a_first_label_moves_the_weights_by_hand() -> None:
    x = np.array([[2.0, 1.0]])
    _, after = RecursiveNewton.initial(2, RIDGE).run(np.repeat(x, 2, axis=0), np.array([1.0, np.nan]), 1, 0)
    inverse = 1.0 / (RIDGE * FORGETTING)
    expected = 0.5 * inverse * x[0] / (1.0 + 0.25 * inverse * 5.0)
    assert after.weights == pytest.approx(expected)


def test_on_a_stationary_series_it_finds_the_planted_weights() -> None:
    Z, y = stationary()
    _, after = RecursiveNewton.initial(5, RIDGE).run(Z, y, 1, 0)
    assert after.weights == pytest.approx(PLANTED, abs=0.2)


def test_its_weights_are_nearly_those_of_a_regression_that_forgets_alike() -> None:
    Z, y = stationary()
    n = len(y) - 1
    age = np.arange(n)[::-1]
    batch = ridge_logistic(Z[:n], y[:n], np.full(5, RIDGE * FORGETTING**n), weight=FORGETTING**age)
    _, after = RecursiveNewton.initial(5, RIDGE).run(Z, y, 1, 0)
    assert after.weights == pytest.approx(batch, abs=0.02)


def test_labels_that_overlap_weigh_a_share_each() -> None:
    Z, y = stationary(600)
    thrice = np.repeat(Z, 3, axis=0), np.repeat(y, 3)
    _, once = RecursiveNewton.initial(5, RIDGE).run(Z, y, 1, 0)
    _, shares = RecursiveNewton.initial(5, RIDGE).run(*thrice, 3, 0)
    assert shares.weights == pytest.approx(once.weights, abs=0.15)


def test_inputs_are_measured_by_the_mean_and_deviation_so_far_and_clipped() -> None:
    generator = np.random.default_rng(1)
    columns = generator.normal(3.0, 2.0, size=(400, 2))
    columns[generator.random(columns.shape) < 0.1] = np.nan
    columns[399, 0] = 1e6
    Z, _ = Moments.empty(2).standardised(columns)
    for t in (50, 211, 398):
        known = columns[: t + 1]
        expected = (columns[t] - np.nanmean(known, axis=0)) / np.nanstd(known, axis=0)
        assert Z[t] == pytest.approx([*np.nan_to_num(expected), 1.0])
    assert Z[399, 0] == CLIP


def test_the_range_of_aapl_is_forecast_better_than_by_its_frequency(aapl: Bars) -> None:
    y, z = labels("range", aapl, 1), OnlineBaseline.fit(aapl, "range", 1).z
    rows = np.arange(600, len(aapl) - 1)
    losses = (sigmoid(z[rows]) - y[rows]) ** 2, (y[rows].mean() - y[rows]) ** 2
    assert np.mean(losses[0]) < np.mean(losses[1]) - 0.03


@pytest.mark.parametrize("horizon", [1, 3])
def test_each_forecaster_of_a_mixture_weighs_by_its_likelihood_of_the_known_labels(horizon: int) -> None:
    generator = np.random.default_rng(5)
    z, other = generator.normal(size=(2, 60))
    z[:4] = np.nan
    y = np.where(generator.random(60) < 0.1, np.nan, generator.integers(0, 2, 60).astype(np.float64))
    found = bayesian_mixture(z, other, y, horizon)
    assert np.isnan(found[:4]).all()
    for t in range(4, 60):
        known = [j for j in range(4, t - horizon + 1) if y[j] == y[j]]
        likelihoods = [
            np.prod([sigmoid(each[j]) if y[j] else 1.0 - sigmoid(each[j]) for j in known]) ** (1.0 / horizon)
            for each in (z, other)
        ]
        p = np.average([sigmoid(z[t]), sigmoid(other[t])], weights=likelihoods)
        assert sigmoid(found[t]) == pytest.approx(p)


def test_on_noise_it_costs_next_to_nothing() -> None:
    for number in range(3):
        bars = planted.series(2_000 + number, rules=0)[0].head(1_600)
        y, z = labels("direction", bars, 1), OnlineBaseline.fit(bars, "direction", 1).z
        rows = np.flatnonzero(np.isfinite(y) & np.isfinite(z))[400:]
        assert np.mean((sigmoid(z[rows]) - y[rows]) ** 2) < 0.2515
