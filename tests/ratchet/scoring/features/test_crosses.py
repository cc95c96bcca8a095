"""A cross is counted from the bar on which it happens, and by nothing that comes later or long before."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from ratchet.scoring import features
from ratchet.scoring.data import csv_file
from ratchet.scoring.data.bars import WARM_UP, Bars
from ratchet.scoring.features.crosses import MAX_BARS_SINCE

DAY = 86_400
ROOT = Path(__file__).parents[4]
CROSSES = tuple(name for name in features.LIBRARY if features.FEATURE_KIND[name] == "cross")
NAME = re.compile(r"bars_since_([a-z0-9_]+)_crossed_(above|below)_([a-z0-9_]+)")
Floats = NDArray[np.float64]


def example(name: str) -> Bars:
    path = ROOT / "ratchet" / "data" / f"{name}.csv"
    return csv_file.read(path.read_bytes(), name, path.name).bars


def of_closes(close: Floats) -> Bars:
    n = len(close)
    return Bars("TEST", DAY * np.arange(n), close, close * 1.001, close * 0.999, close, np.full(n, 100.0))


def after(bars: Bars, start: int) -> Bars:
    return Bars(
        bars.series, *(getattr(bars, field)[start:] for field in ("time", "open", "high", "low", "close", "volume"))
    )


def column(bars: Bars, name: str) -> Floats:
    return features.compute(bars, (name,))[:, 0]


def extreme(values: Floats, window: int, of: Callable[[Floats], float]) -> Floats:
    """The extreme of the `window` values before each, without it."""
    return np.array([of(values[t - window : t]) if t >= window else np.nan for t in range(len(values))])


LINES: dict[str, Callable[[Bars], Floats]] = {
    "close": lambda bars: bars.close,
    "high_20": lambda bars: extreme(bars.high, 20, np.max),
    "low_20": lambda bars: extreme(bars.low, 20, np.min),
    "sar": lambda bars: talib.SAR(bars.high, bars.low, 0.02, 0.2),
    "supertrend_10": lambda bars: talib.SUPERTREND(bars.high, bars.low, bars.close, 10, 3.0)[0],
    "bollinger_upper_20": lambda bars: talib.BBANDS(bars.close, 20, 2.0, 2.0)[0],
    "bollinger_lower_20": lambda bars: talib.BBANDS(bars.close, 20, 2.0, 2.0)[2],
}


def line(name: str, bars: Bars) -> Floats:
    if name in LINES:
        return LINES[name](bars)
    if name in features.LIBRARY:
        return column(bars, name)
    if found := re.fullmatch(r"(sma|ema)_(\d+)", name):
        return np.asarray((talib.SMA if found[1] == "sma" else talib.EMA)(bars.close, int(found[2])))
    return np.full(len(bars), float(name.replace("minus_", "-")))


def counted(above: Floats) -> list[float]:
    """Bars since a difference came to be above zero, bar by bar; differences are equal to nine places."""
    counts: list[float] = []
    since = MAX_BARS_SINCE
    for t, now in enumerate(above):
        since += 1
        if t and round(now, 9) > 0 and round(above[t - 1], 9) <= 0:
            since = 0
        counts.append(np.nan if np.isnan(now) else min(since, MAX_BARS_SINCE))
    return counts


def test_each_name_says_which_line_crosses_which_and_to_which_side() -> None:
    assert 30 <= len(CROSSES) <= 45
    assert all(NAME.fullmatch(name) for name in CROSSES)


@pytest.mark.parametrize("name", CROSSES)
def test_a_cross_is_what_a_plain_loop_counts(name: str) -> None:
    bars = example("AAPL").head(1200)
    found = NAME.fullmatch(name)
    assert found is not None
    above = line(found[1], bars) - line(found[3], bars)
    if found[1] == "close":
        above = above / bars.close
    expected = counted(above if found[2] == "above" else -above)
    assert np.array_equal(column(bars, name), expected, equal_nan=True)
    assert 0.0 in expected, "the example has such a cross"


def test_the_bar_of_the_cross_is_0_and_the_count_ends_at_the_longest() -> None:
    close = np.concatenate([np.full(40, 10.0), np.full(30, 9.0), np.full(100, 11.0)])
    up = column(of_closes(close), "bars_since_close_crossed_above_sma_20")
    assert up[69:73].tolist() == [MAX_BARS_SINCE, 0, 1, 2]
    assert up[70 + MAX_BARS_SINCE - 1 :].tolist() == [MAX_BARS_SINCE - 1, *[MAX_BARS_SINCE] * 50]
    down = column(of_closes(close), "bars_since_close_crossed_below_sma_20")
    assert down[39:42].tolist() == [MAX_BARS_SINCE, 0, 1]


def test_a_breakout_is_a_close_beyond_the_extreme_of_the_bars_before() -> None:
    close = np.append(np.linspace(10, 11, 40), [11.0, 10.9, 12.0, 12.5])
    up = column(of_closes(close), "bars_since_close_crossed_above_high_20")
    assert up[-4:].tolist()[2:] == [0, 1]


@pytest.mark.parametrize("start", [1, 17, 400, 1111])
def test_where_the_file_starts_changes_no_count_after_the_warm_up(start: int) -> None:
    """The rounding of running sums depends on the start: it must not make lines cross that are equal but for it."""
    for name in ("AAPL", "GOOG", "IBM", "MSFT"):
        bars = example(name)
        whole, part = features.compute(bars, CROSSES), features.compute(after(bars, start), CROSSES)
        assert np.array_equal(whole[start + WARM_UP :], part[WARM_UP:])


def test_it_is_unknown_only_while_a_line_is() -> None:
    bars = example("AAPL")
    assert np.flatnonzero(~np.isnan(column(bars, "bars_since_sma_50_crossed_above_sma_200")))[0] == 199
    known = features.compute(bars, CROSSES)[199:]
    assert not np.isnan(known).any()
    assert (known == np.round(known)).all()
    assert known.min() == 0
    assert known.max() == MAX_BARS_SINCE
