"""A number is stored as it is computed and read in the unit of its feature; neither loses anything by the other."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.scoring.features import COLUMNS, FEATURE_UNIT, LIBRARY
from ratchet.scoring.features.units import Unit, digits, shown, stored, written

UNITS: tuple[Unit, ...] = get_args(Unit)


@given(st.sampled_from(UNITS), st.floats(-600, 600))
def test_what_is_shown_is_stored_as_it_was(unit: Unit, value: float) -> None:
    assert stored(unit, shown(unit, value)) == pytest.approx(value, rel=1e-12, abs=1e-12)


@given(st.sampled_from(UNITS), st.floats(1e-6, 1e9))
def test_what_is_stored_is_shown_as_it_was(unit: Unit, value: float) -> None:
    assert shown(unit, stored(unit, value)) == pytest.approx(value, rel=1e-12)


@given(st.sampled_from(UNITS), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_the_unit_keeps_the_order(unit: Unit, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert stored(unit, low) <= stored(unit, high)
    assert stored(unit, low) < stored(unit, high * 1.0000001)


@given(st.floats(-1e8, 1e8, allow_subnormal=False))
def test_four_digits_are_written_and_read_back(value: float) -> None:
    text = digits(value)
    assert float(text) == pytest.approx(value, rel=5.1e-4)
    assert sum(each.isdigit() for each in f"{float(text):e}".split("e")[0].rstrip("0")) <= 4
    assert "e" not in text or abs(value) < 1e-6


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("plain", 70.0, "70"),
        ("plain", 0.125, "0.125"),
        ("plain", -100.0, "-100"),
        ("plain", 12345.0, "12340"),
        ("plain", 0.0000234, "0.0000234"),
        ("plain", -0.0, "0"),
        ("percent", 0.03, "3 %"),
        ("percent", -0.0345, "-3.45 %"),
        ("percent", 0.123456, "12.35 %"),
        ("times", math.log(1.5), "1.5 ×"),
        ("times", 0.0, "1 ×"),
        ("times", math.log(0.8), "0.8 ×"),
    ],
)
def test_numbers_are_written_for_people(unit: Unit, value: float, text: str) -> None:
    assert written(unit, value) == text


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan])
def test_a_ratio_that_is_not_above_zero_is_refused(ratio: float) -> None:
    with pytest.raises(InvalidInput, match="use a ratio above 0"):
        stored("times", ratio)


def test_a_ratio_too_large_for_a_number_is_endless() -> None:
    assert shown("times", 800.0) == math.inf


def test_every_feature_has_a_unit() -> None:
    assert tuple(FEATURE_UNIT) == tuple(COLUMNS) == LIBRARY
    assert set(FEATURE_UNIT.values()) == set(UNITS)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *((name, "percent") for name in ("return_5", "gap_1", "range_1", "sma_gap_20", "volatility_20", "macd")),
        *((name, "percent") for name in ("bollinger_width_20", "donchian_width_20", "high_gap_250", "atr_14")),
        *((name, "times") for name in ("range_regime", "move_regime_5", "volume_regime_22", "volatility_regime_60")),
        *((name, "plain") for name in ("rsi_14", "volume_ratio_20", "bollinger_position_20", "bars_since_high_20")),
        *((name, "plain") for name in ("weekday", "cdl_doji", "bars_since_close_crossed_above_sma_20")),
    ],
)
def test_fractions_are_percent_and_log_ratios_times(name: str, unit: Unit) -> None:
    assert FEATURE_UNIT[name] == unit
