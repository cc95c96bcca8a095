"""What every feature of the library promises."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from ratchet.errors import InvalidInput
from ratchet.scoring import features
from ratchet.scoring.data import csv_file, snapshot
from ratchet.scoring.data.bars import PRICES, WARM_UP, Bars
from ratchet.scoring.features import candles
from ratchet.scoring.features.excluded import EXCLUDED
from ratchet.scoring.features.feature import Kind

ROOT = Path(__file__).parents[4]
DAY = 86_400
TALIB = {name for name in dir(talib) if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and callable(getattr(talib, name))}


def example(name: str) -> Bars:
    path = ROOT / "ratchet" / "data" / f"{name}.csv"
    return csv_file.read(path.read_bytes(), name, path.name).bars


def synthetic(seed: int, n: int, step: int = DAY) -> Bars:
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    opened = close * np.exp(rng.normal(0, 0.01, n))
    high = np.maximum(opened, close) * (1 + rng.exponential(0.01, n))
    low = np.minimum(opened, close) * (1 - rng.uniform(0, 0.02, n))
    volume = np.floor(rng.lognormal(12, 1, n))
    return Bars("TEST", 946_857_600 + step * np.arange(n), opened, high, low, close, volume)


def joined(bars: Bars, scale: float, more: int) -> Bars:
    """`bars` and `more` bars after them, with prices and volumes `scale` times as large."""
    later = synthetic(99, more)
    return Bars(
        bars.series,
        np.concatenate([bars.time, bars.time[-1] + DAY * np.arange(1, more + 1)]),
        *(
            np.concatenate([getattr(bars, field), getattr(later, field) * scale])
            for field in ("open", "high", "low", "close", "volume")
        ),
    )


def named(which: ArrayLike) -> list[str]:
    return [features.LIBRARY[place] for place in np.flatnonzero(which)]


def same_bits(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((one.view(np.int64) == other.view(np.int64)).all(axis=0), np.bool_)


def test_names_are_unique_lower_snake_and_of_a_kind() -> None:
    assert len(set(features.LIBRARY)) == len(features.LIBRARY)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) for name in features.LIBRARY)
    assert set(features.FEATURE_KIND) == set(features.LIBRARY)
    assert set(features.FEATURE_KIND.values()) == set(get_args(Kind))


def test_the_base_set_is_part_of_the_library() -> None:
    assert {*features.BASE} - {features.LAST_LABEL} < {*features.LIBRARY}
    assert {*features.HAR} < {*features.BASE}
    assert {"return_1", "rsi_14", "ema_gap_12", "adx_14", "volume_ratio_20", "weekday"} < {*features.BASE}


def test_the_har_columns_are_the_averages_of_range_move_and_volume() -> None:
    assert (
        tuple(
            name if window == 1 else f"{name}_{window}"
            for name in ("range_regime", "move_regime", "volume_regime")
            for window in (1, 2, 5, 10, 22, 66)
        )
        == features.HAR
    )


def test_every_function_of_talib_is_used_or_left_out_for_a_reason() -> None:
    folder = Path(features.__file__).parent
    used = {f"CDL{code}" for code in candles.CODES}
    for module in folder.glob("*.py"):
        used |= set(re.findall(r"talib\.([A-Z0-9_]+)\(", module.read_text()))
    left = [name for names in EXCLUDED.values() for name in names]
    assert len(left) == len(set(left))
    assert used.isdisjoint(left)
    assert used | set(left) == TALIB


@pytest.mark.parametrize("cut", [1, 2, 30, 251, 700, 1500, 3000, 3269])
def test_future_bars_change_no_feature_of_aapl(cut: int) -> None:
    bars = example("AAPL")
    known = features.compute(bars.head(cut))
    whole = features.compute(bars)[:cut]
    assert named(~same_bits(known, whole)) == []


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 700),
    more=st.integers(1, 300),
    scale=st.sampled_from([1.0, 1e-9, 1e9, 1e150]),
)
def test_absurd_future_bars_change_no_feature(seed: int, n: int, more: int, scale: float) -> None:
    bars = synthetic(seed, n)
    known = features.compute(bars)
    whole = features.compute(joined(bars, scale, more))[:n]
    assert named(~same_bits(known, whole)) == []


def test_the_causality_test_sees_a_feature_that_looks_ahead() -> None:
    bars = example("AAPL")

    def peek(some: Bars) -> NDArray[np.float64]:
        return np.append(some.close[1:], np.nan)[:, None]

    assert not same_bits(peek(bars.head(700)), peek(bars)[:700]).any()


@pytest.mark.parametrize("name", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_all_features_are_known_after_the_warm_up_and_none_is_infinite(name: str) -> None:
    table = features.compute(example(name))
    assert named(np.isnan(table[WARM_UP:]).any(axis=0)) == []
    assert not np.isinf(table).any()


def test_no_feature_but_the_hour_is_constant_over_the_examples() -> None:
    table = np.concatenate([features.compute(example(name))[WARM_UP:] for name in ("AAPL", "GOOG", "IBM", "MSFT")])
    assert named(table.min(axis=0) == table.max(axis=0)) == ["hour"]


def test_no_two_features_are_the_same() -> None:
    table = features.compute(example("AAPL"))[WARM_UP:]
    varied = table[:, table.std(axis=0) > 0]
    correlation = np.abs(np.corrcoef(varied.T))
    np.fill_diagonal(correlation, 0)
    assert correlation.max() < 0.9999


@pytest.mark.parametrize("name", ["AAPL", "IBM"])
@pytest.mark.parametrize("unit", [1e-10, 1e-6, 1e-3, 1e3, 1e9])
def test_the_unit_of_price_changes_no_bit_of_any_feature(name: str, unit: float) -> None:
    bars = example(name)
    other = replace(bars, **{price: getattr(bars, price) * unit for price in PRICES})
    assert named(~same_bits(features.compute(bars), features.compute(other))) == []


@pytest.mark.parametrize("unit", [1e-6, 1e8])
def test_features_do_not_depend_on_the_unit_of_volume(unit: float) -> None:
    bars = example("AAPL")
    one, other = features.compute(bars), features.compute(replace(bars, volume=bars.volume * unit))
    assert named(~np.isclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True).all(axis=0)) == []


def test_a_series_without_volume_has_the_features_that_no_volume_changes_and_daily_bars_no_hour() -> None:
    bars = example("AAPL")
    silent = replace(bars, volume=np.zeros(len(bars)))
    there = features.available(silent)
    assert set(features.LIBRARY) - set(features.available(bars)) == {"hour"}
    assert features.available(replace(bars, series="AAPL@1h")) == features.LIBRARY
    assert np.isfinite(features.compute(silent, there)[WARM_UP:]).all()
    assert same_bits(features.compute(silent, there), features.compute(bars, there)).all()
    absent = [name for name in features.available(bars) if name not in there]
    unlike = features.compute(replace(bars, volume=bars.volume[::-1]), absent) != features.compute(bars, absent)
    assert [name for name, differs in zip(absent, unlike[WARM_UP:].any(axis=0), strict=True) if not differs] == []


def test_two_decodes_give_the_same_bits() -> None:
    content = snapshot.encode(example("AAPL"))
    one = features.compute(snapshot.decode(content))
    other = features.compute(snapshot.decode(content))
    read = features.compute(example("AAPL"))
    assert one.tobytes() == other.tobytes() == read.tobytes()


def test_columns_come_in_the_order_of_the_names() -> None:
    bars = example("FB_SHORT")
    whole = features.compute(bars)
    some = features.compute(bars, ("weekday", "rsi_14", "macd_histogram"))
    places = [features.LIBRARY.index(name) for name in ("weekday", "rsi_14", "macd_histogram")]
    assert some.tobytes() == np.ascontiguousarray(whole[:, places]).tobytes()
    assert whole.shape == (196, len(features.LIBRARY))
    assert whole.dtype == np.float64


@pytest.mark.parametrize("n", [0, 1, 2, 5, 40])
def test_few_bars_give_rows_too(n: int) -> None:
    assert features.compute(synthetic(1, 40).head(n)).shape == (n, len(features.LIBRARY))


def test_bars_without_move_or_volume_give_no_infinity() -> None:
    flat = np.full(400, 10.0)
    table = features.compute(Bars("FLAT", np.arange(400) * DAY, flat, flat, flat, flat, np.zeros(400)))
    assert not np.isinf(table).any()


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="did you mean volume_ratio_20"):
        features.compute(synthetic(1, 10), ("volume_ration_20",))
