"""Long-run variances have their known values."""

import numpy as np
import pytest

from ratchet.errors import InvalidInput
from ratchet.statistics.hac import forecast_variance, long_run_variance, newey_west_lags

SAWTOOTH = np.array([1.0, -1.0, 1.0, -1.0])


def test_without_lags_it_is_the_variance() -> None:
    x = np.random.default_rng(1).normal(size=50)
    assert long_run_variance(x, 0) == pytest.approx(x.var())


def test_known_values_of_a_sawtooth() -> None:
    # autocovariances: 1, -3/4, 2/4, -1/4
    assert long_run_variance(SAWTOOTH, 1, "rectangular") == pytest.approx(1 - 1.5)
    assert long_run_variance(SAWTOOTH, 1, "bartlett") == pytest.approx(1 - 0.75)
    assert long_run_variance(SAWTOOTH, 2, "bartlett") == pytest.approx(1 - 2 * (2 / 3) * 0.75 + 2 * (1 / 3) * 0.5)


def test_lags_beyond_the_data_add_nothing_but_weight() -> None:
    assert long_run_variance(SAWTOOTH, 9, "rectangular") == long_run_variance(SAWTOOTH, 3, "rectangular")


def test_a_forecast_variance_that_is_not_positive_falls_back_to_bartlett() -> None:
    assert forecast_variance(SAWTOOTH, 2) == long_run_variance(SAWTOOTH, 1, "bartlett") > 0


def test_one_bar_ahead_has_no_lags() -> None:
    assert forecast_variance(SAWTOOTH, 1) == 1.0


def test_equal_numbers_have_no_variance() -> None:
    assert long_run_variance(np.full(30, 0.1), 3) == 0.0
    assert forecast_variance(np.zeros(30), 5) == 0.0


def test_it_finds_the_variance_of_a_moving_average() -> None:
    noise = np.random.default_rng(7).normal(size=200_001)
    moving = noise[1:] + noise[:-1]  # long-run variance 4, variance 2
    assert long_run_variance(moving, 1, "rectangular") == pytest.approx(4.0, rel=0.03)
    assert long_run_variance(moving, 60, "bartlett") == pytest.approx(4.0, rel=0.05)


def test_usual_number_of_lags() -> None:
    assert [newey_west_lags(n) for n in (1, 100, 500, 5_000)] == [1, 4, 5, 9]


def test_no_values_or_negative_lags_are_refused() -> None:
    with pytest.raises(InvalidInput):
        long_run_variance(np.array([]), 0)
    with pytest.raises(InvalidInput):
        long_run_variance(SAWTOOTH, -1)
