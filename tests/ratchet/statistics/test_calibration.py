"""Refitting both calibrations on the same bars leaves skill and takes calibration away."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from ratchet.decisions.evidence import PairedForecasts
from ratchet.decisions.gate import judge
from ratchet.statistics.calibration import fit_isotonic, refitted_difference
from ratchet.statistics.evalue import loss_difference
from ratchet.statistics.scores import Interval, mean_difference


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def signals(bars: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, and the log-odds of two models that see the same signal, each with its own noise."""
    signal = rng.normal(0, 0.8, bars)
    y = rng.random(bars) < sigmoid(signal)
    one, other = (0.9 * (signal + rng.normal(0, 0.25, bars)) for _ in range(2))
    return y, one, other


@pytest.mark.parametrize("decimals", [1, 2, 16])
def test_the_fit_is_isotonic_regression_ties_included(decimals: int) -> None:
    y, z, _ = signals(500, np.random.default_rng(decimals))
    p = np.round(sigmoid(z), decimals)
    known = IsotonicRegression().fit(p, y)
    fitted = fit_isotonic(p, y)
    assert fitted(p) == pytest.approx(known.predict(p))
    assert (np.diff(fitted.probabilities) >= 0).all()


def test_a_forecast_between_two_has_the_mean_of_both_and_one_beyond_them_the_last() -> None:
    fitted = fit_isotonic(np.array([0.2, 0.2, 0.4, 0.6]), np.array([False, True, True, True]))
    assert list(fitted(np.array([0.1, 0.2, 0.21, 0.39, 0.4, 0.7]))) == [0.5, 0.5, 0.75, 0.75, 1.0, 1.0]


@pytest.mark.parametrize(
    "increasing", [lambda p: p**3, lambda p: 1 - (1 - p) ** 5, lambda p: 0.45 + 0.1 * p], ids=["low", "high", "narrow"]
)
def test_a_strictly_increasing_recalibration_of_one_model_changes_no_bit(
    increasing: Callable[[np.ndarray], np.ndarray],
) -> None:
    y, z, other = signals(500, np.random.default_rng(4))
    p_a, p_b = sigmoid(z), sigmoid(other)
    found = refitted_difference(p_a, p_b, y, 1)
    assert math.isfinite(found.low)
    assert refitted_difference(increasing(p_a), p_b, y, 1) == found == refitted_difference(p_a, increasing(p_b), y, 1)


@pytest.mark.parametrize(
    ("bars", "horizon", "known"), [(121, 1, False), (122, 1, True), (129, 5, False), (130, 5, True), (4, 9, False)]
)
def test_fewer_than_60_bars_in_a_part_can_not_be_judged(bars: int, horizon: int, known: bool) -> None:
    y, z, other = signals(bars, np.random.default_rng(3))
    found = refitted_difference(sigmoid(z), sigmoid(other), y, horizon)
    assert math.isfinite(found.value) is known
    assert math.isfinite(found.low) is known


@pytest.mark.parametrize("part", [slice(0, 199), slice(200, 400)], ids=["fitted", "compared"])
@pytest.mark.parametrize("rare", [True, False])
def test_fewer_than_20_bars_of_a_class_in_a_part_can_not_be_judged(part: slice, rare: bool) -> None:
    y, z, other = signals(400, np.random.default_rng(3))
    places = np.arange(400)[part]
    y[places], y[places[:20]] = not rare, rare
    assert math.isfinite(refitted_difference(sigmoid(z), sigmoid(other), y, 1).value)
    y[places[0]] = not rare
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


def test_a_model_that_sees_less_is_less_skilled() -> None:
    rng = np.random.default_rng(11)
    assert shares(lambda z: 0.3 * rng.normal(size=len(z)), 800)[1] > 0.85


def called_more_skilled(pairs: list[PairedForecasts]) -> tuple[int, int]:
    """How many of the contenders `balanced` promotes, and how many of these are called more skilled."""
    promoted = [found for found in (judge(pair, 1, "balanced") for pair in pairs) if found.verdict == "PROMOTED"]
    return len(promoted), sum(j.auc_difference.low > 0 or j.refitted_difference.low > 0 for j in promoted)


@pytest.mark.parametrize("clip", [0.0, 0.01, 0.1])
@pytest.mark.parametrize(("slope", "offset"), [(4.0, 0.0), (1.0, 1.0), (3.0, -2.0)])
def test_a_recalibrated_copy_is_never_called_more_skilled(clip: float, slope: float, offset: float) -> None:
    rng = np.random.default_rng(33)
    pairs = []
    for _ in range(200):
        y, z, _ = signals(400, rng)
        distorted, repaired = (np.clip(sigmoid(at), clip, 1 - clip) for at in (slope * z + offset, z))
        pairs.append(PairedForecasts.of(distorted, repaired, y, np.arange(400)))
    promoted, skilled = called_more_skilled(pairs)
    assert promoted > 120
    assert skilled == 0


def test_a_promoted_contender_that_sees_a_signal_more_is_called_more_skilled() -> None:
    rng = np.random.default_rng(34)
    pairs = []
    for _ in range(200):
        base, extra = rng.normal(0, 0.32, 504), rng.normal(0, 0.8, 504)
        y = rng.random(504) < sigmoid(base + extra)
        p_a, p_b = (sigmoid(0.95 * seen + rng.normal(0, 0.25, 504)) for seen in (base, base + extra))
        pairs.append(PairedForecasts.of(p_a, p_b, y, np.arange(504)))
    promoted, skilled = called_more_skilled(pairs)
    assert promoted > 150
    assert skilled > 0.95 * promoted


@settings(max_examples=40)
@given(st.integers(122, 200), st.integers(0, 10_000), st.sampled_from([0.0, 1e-300, 0.5, 1 - 1e-16, 1.0]))
def test_every_pair_has_finite_numbers_that_exchanging_the_models_mirrors(bars: int, seed: int, odd: float) -> None:
    rng = np.random.default_rng(seed)
    p_a, p_b = rng.random(bars), np.where(rng.random(bars) < 0.5, odd, rng.random(bars))
    y = np.arange(bars) % 2 == 0
    found, mirrored = refitted_difference(p_a, p_b, y, 1), refitted_difference(p_b, p_a, y, 1)
    assert all(math.isfinite(number) for number in (found.value, found.low, found.high))
    assert found == Interval(-mirrored.value, -mirrored.high, -mirrored.low)
