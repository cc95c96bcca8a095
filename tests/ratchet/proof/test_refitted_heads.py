"""Refitting both heads on the same bars leaves skill and takes calibration away."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from ratchet.proof.evalue import loss_difference
from ratchet.proof.head import RIDGE_BARS, Head, fit_head, log_odds, refitted_difference
from ratchet.proof.scores import Interval, mean_difference


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def signals(bars: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, and the log-odds of two models that see the same signal, each with its own noise."""
    signal = rng.normal(0, 0.8, bars)
    y = rng.random(bars) < sigmoid(signal)
    one, other = (0.9 * (signal + rng.normal(0, 0.25, bars)) for _ in range(2))
    return y, one, other


@pytest.mark.parametrize("distort", [lambda z: z, lambda z: 4 * z, lambda z: z / 5, lambda z: z - 3, lambda z: 0 * z])
@pytest.mark.parametrize("bars", [60, 500])
def test_a_head_is_where_the_ridge_loss_is_least(distort: Callable[[np.ndarray], np.ndarray], bars: int) -> None:
    y, z, _ = signals(bars, np.random.default_rng(bars))
    z = distort(z)
    ridge = RIDGE_BARS / 8

    def loss(at: np.ndarray) -> float:
        margin = at[0] * z + at[1]
        fit = np.logaddexp(0, margin) - y * margin
        return float(fit.sum() + ridge * ((z * z).mean() * (at[0] - 1) ** 2 + at[1] ** 2))

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000})
    head = fit_head(z, y)
    assert loss(np.array([head.slope, head.offset])) <= best.fun + 1e-9
    assert head.offset == pytest.approx(best.x[1], abs=1e-5)
    if z.any():
        assert head.slope == pytest.approx(best.x[0], rel=1e-5)


def test_with_many_bars_it_is_the_logistic_regression() -> None:
    y, z, _ = signals(20_000, np.random.default_rng(2))
    known = LogisticRegression(C=np.inf, tol=1e-10).fit(3 * z[:, None] + 1, y)
    head = fit_head(3 * z + 1, y)
    assert (head.slope, head.offset) == pytest.approx((known.coef_[0, 0], known.intercept_[0]), abs=1e-3)


def test_models_that_are_always_right_or_always_wrong_have_a_head_too() -> None:
    y = np.arange(100) % 3 == 0
    right, wrong = log_odds(y.astype(float)), log_odds(1.0 - y)
    assert np.abs(fit_head(right, y)(right) - y).max() < 1e-5
    assert fit_head(wrong, y).slope < 0


def test_log_odds_end_at_one_in_a_million() -> None:
    assert list(log_odds(np.array([0.0, 0.5, 1.0]))) == [-14.0, 0.0, 14.0]
    p = np.array([1e-5, 0.1, 0.7, 0.99])
    assert Head(1.0, 0.0)(log_odds(p)) == pytest.approx(p)


@pytest.mark.parametrize(
    ("bars", "horizon", "known"), [(121, 1, False), (122, 1, True), (129, 5, False), (130, 5, True)]
)
def test_fewer_than_60_bars_in_a_part_can_not_be_judged(bars: int, horizon: int, known: bool) -> None:
    y, z, other = signals(bars, np.random.default_rng(3))
    found = refitted_difference(sigmoid(z), sigmoid(other), y, horizon)
    assert math.isfinite(found.value) is known
    assert math.isfinite(found.low) is known


def test_one_class_in_the_first_half_can_not_be_judged() -> None:
    y, z, other = signals(400, np.random.default_rng(3))
    y[:199] = True
    assert math.isnan(refitted_difference(sigmoid(z), sigmoid(other), y, 1).value)


@pytest.mark.parametrize("horizon", [1, 5])
def test_outcomes_that_were_not_known_at_the_start_of_the_second_half_do_not_enter_the_fit(horizon: int) -> None:
    y, z, other = signals(401, np.random.default_rng(3))
    p_a, p_b, otherwise = sigmoid(z), sigmoid(other), y.copy()
    otherwise[200 - horizon : 200] ^= True
    assert refitted_difference(p_a, p_b, y, horizon) == refitted_difference(p_a, p_b, otherwise, horizon)
    otherwise[200 - horizon - 1] ^= True
    assert refitted_difference(p_a, p_b, y, horizon) != refitted_difference(p_a, p_b, otherwise, horizon)


def shares(distort: Callable[[np.ndarray], np.ndarray], bars: int, horizon: int = 1) -> tuple[float, float]:
    """Of 200 pairs in which the champion is distorted: how often its loss, as it is and refitted, is the larger one."""
    rng = np.random.default_rng(7)
    plain, refitted = 0, 0
    for _ in range(200):
        y, z, other = signals(bars, rng)
        p_a, p_b = sigmoid(distort(z)), sigmoid(other)
        plain += mean_difference(loss_difference(p_a, p_b, y), horizon).low > 0
        refitted += refitted_difference(p_a, p_b, y, horizon).low > 0
    return plain / 200, refitted / 200


@pytest.mark.parametrize(
    "distort", [lambda z: 4 * z, lambda z: z + 1, lambda z: -2 + 3 * z], ids=["too sure", "off", "both"]
)
def test_a_model_that_is_only_badly_calibrated_is_as_skilled(distort: Callable[[np.ndarray], np.ndarray]) -> None:
    plain, refitted = shares(distort, 400)
    assert plain > 0.95
    assert refitted < 0.08


def test_models_that_say_the_same_are_equally_skilled() -> None:
    assert shares(lambda z: z, 400)[1] < 0.08


def test_a_model_that_sees_less_is_less_skilled() -> None:
    rng = np.random.default_rng(11)
    assert shares(lambda z: 0.3 * rng.normal(size=len(z)), 800)[1] > 0.85


@settings(max_examples=40)
@given(st.integers(122, 200), st.integers(0, 10_000), st.sampled_from([0.0, 1e-300, 0.5, 1 - 1e-16, 1.0]))
def test_every_pair_has_finite_numbers_that_exchanging_the_models_mirrors(bars: int, seed: int, odd: float) -> None:
    rng = np.random.default_rng(seed)
    p_a, p_b = rng.random(bars), np.where(rng.random(bars) < 0.5, odd, rng.random(bars))
    y = rng.random(bars) < 0.5
    found, mirrored = refitted_difference(p_a, p_b, y, 1), refitted_difference(p_b, p_a, y, 1)
    assert all(math.isfinite(number) for number in (found.value, found.low, found.high))
    assert found == Interval(-mirrored.value, -mirrored.high, -mirrored.low)
