# ruff: noqa: N803, N806
"""A shift is called when the market moved, not because features persist; overfit, when the gap is beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.errors import InvalidInput
from ratchet.scoring import features
from ratchet.scoring.columns import FeatureTable
from ratchet.scoring.data.bars import Bars
from services.trainer.learning.diagnosis import overfit, regime_shift

COLUMNS = 21


def persistent(n: int, memory: float, generator: np.random.Generator) -> np.ndarray:
    """Stationary columns with a standard normal distribution: float64[n, COLUMNS]."""
    X = generator.normal(size=(n, COLUMNS))
    for row in range(1, n):
        X[row] = memory * X[row - 1] + np.sqrt(1 - memory**2) * X[row]
    return X


def called(X: np.ndarray, held: int, generator: np.random.Generator) -> bool:
    return regime_shift(X[:-held], X[-held:], generator) is not None


@pytest.mark.parametrize("memory", [0.0, 0.9, 0.98, 0.99])
def test_persistence_alone_is_no_shift(memory: float) -> None:
    generator = np.random.default_rng(4)
    assert sum(called(persistent(2700, memory, generator), 300, generator) for _ in range(20)) <= 2


@pytest.mark.parametrize("what", ["mean", "variance"])
def test_a_shift_of_some_features_is_called(what: str) -> None:
    generator = np.random.default_rng(4)
    found = 0
    for _ in range(8):
        X = persistent(2700, 0.9, generator)
        X[-300:, :6] = X[-300:, :6] + 1.0 if what == "mean" else X[-300:, :6] * 2.0
        found += called(X, 300, generator)
    assert found >= 7


@pytest.mark.slow
def test_on_real_bars_a_shift_is_rarely_called_until_volatility_doubles_its_spread(aapl: Bars) -> None:
    X = FeatureTable.of(aapl, "range", 1, features.BASE).values[250:]
    generator = np.random.default_rng(0)
    ends = range(1200, len(X), 300)
    assert sum(called(X[:end], 250, generator) for end in ends) <= 1
    volatility = [features.BASE.index(name) for name in ("atr_14", "bollinger_width_20", "range_1")]
    found = 0
    for end in ends:
        moved = X[:end].copy()
        moved[-250:, volatility] += 2 * np.nanstd(moved[:, volatility], axis=0)
        found += called(moved, 250, generator)
    assert found >= len(ends) - 1


def test_a_shift_says_what_was_measured_and_the_order_of_comparison_decides_nothing() -> None:
    X = persistent(2700, 0.9, np.random.default_rng(1))
    X[-300:, :6] += 1.5
    shift = regime_shift(X[:2400], X[2400:], np.random.default_rng(1))
    assert shift == regime_shift(X[:2400], X[2400:], np.random.default_rng(2))
    assert shift is not None
    assert 0.9 < shift.auc <= 1.0
    assert (shift.rows, shift.reference_windows) == (300, 100)


def test_missing_values_and_columns_that_never_vary_are_no_shift() -> None:
    generator = np.random.default_rng(2)
    X = persistent(1200, 0.5, generator)
    X[generator.random(X.shape) < 0.1] = np.nan
    X[:, 0], X[:, 1] = np.nan, 7.0
    assert not called(X, 120, generator)
    assert not called(np.full((1200, 3), np.nan), 120, generator)
    X[-120:, 2:8] += 3.0
    assert called(X, 120, generator)


def test_too_few_rows_show_no_shift_and_other_columns_are_refused() -> None:
    generator = np.random.default_rng(2)
    X = persistent(1200, 0.0, generator)
    X[-120:] += 5.0
    assert called(X, 120, generator)
    assert not called(X, 99, generator)
    assert not called(X[-450:], 120, generator)
    with pytest.raises(InvalidInput, match="training has 21 columns, holdout 20"):
        regime_shift(X[:1000], X[1000:, :20], generator)


def test_the_gap_by_hand() -> None:
    """Differences of .4 and .2 on 100 bars against -.1 and .1 on 50: the errors are .1 and .1 over the root of n."""
    held, chosen = np.tile([0.4, 0.2], 50), np.tile([0.1, -0.1], 25)
    gap = overfit(0.1 + held, 0.2 + chosen, np.full(100, 0.1), np.full(50, 0.2), 1)
    assert gap is not None
    first, second = 0.1**2 / 99, 0.1**2 / 49
    freedom = (first + second) ** 2 / (first**2 / 99 + second**2 / 49)
    assert freedom == pytest.approx(97.667, abs=1e-3)
    half = 1.98455 * np.sqrt(first + second)
    assert gap.excess.value == pytest.approx(0.3)
    assert gap.excess.low == pytest.approx(0.3 - half, abs=1e-6)
    assert gap.excess.high == pytest.approx(0.3 + half, abs=1e-6)


def test_a_loss_that_both_models_share_or_that_shrinks_is_no_overfit() -> None:
    generator = np.random.default_rng(3)
    market, noise = generator.random(200) * 0.3, generator.normal(0, 0.01, (2, 200))
    assert overfit(market + 0.2 + noise[0], market[:80], market + 0.2, market[:80] + noise[1, :80], 1) is None
    assert overfit(market - 0.2 + noise[0], market[:80], market, market[:80] + noise[1, :80], 1) is None


@pytest.mark.parametrize("horizon", [1, 5])
def test_overfit_is_called_in_few_runs_of_no_gap_and_in_nearly_all_of_a_gap(horizon: int) -> None:
    """Differences that overlap for a horizon's bars; 2.5 % of runs would be exact."""
    generator = np.random.default_rng(5)

    def differences(n: int) -> np.ndarray:
        return np.convolve(generator.normal(0, 0.1, n + horizon - 1), np.ones(horizon) / np.sqrt(horizon), "valid")

    runs = 400
    chance = real = 0
    for _ in range(runs):
        held, chosen = differences(250), differences(150)
        nothing = np.full(250, 0.2), np.full(150, 0.2)
        chance += overfit(0.2 + held, 0.2 + chosen, *nothing, horizon) is not None
        real += overfit(0.3 + held, 0.2 + chosen, *nothing, horizon) is not None
    assert chance <= 0.06 * runs
    assert real >= 0.9 * runs


def test_a_gap_that_cannot_be_estimated_is_none_and_unpaired_losses_are_refused() -> None:
    losses = np.linspace(0.1, 0.3, 50)
    assert overfit(losses + 0.5, losses[:5], losses, losses[5:10], 1) is None
    assert overfit(losses + 0.5, losses, losses, losses, 1) is None
    with pytest.raises(InvalidInput, match="columns of different length"):
        overfit(losses, losses, losses[1:], losses, 1)
