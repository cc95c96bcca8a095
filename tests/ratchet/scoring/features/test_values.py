"""Known values of the features that are our own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from ratchet.scoring import features
from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import PRICES, Bars

DAY = 86_400


def bars(close: NDArray[np.float64], volume: NDArray[np.float64] | None = None, start: str = "2000-01-01") -> Bars:
    n = len(close)
    first = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp())
    volumes = np.full(n, 100.0) if volume is None else volume
    return Bars("TEST", first + DAY * np.arange(n), close, close * 1.02, close * 0.98, close, volumes)


def column(some: Bars, name: str) -> NDArray[np.float64]:
    return features.compute(some, (name,))[:, 0]


def test_the_calendar_of_a_leap_year() -> None:
    days = bars(np.full(366, 10.0), start="2012-01-01")
    dates = [datetime.fromtimestamp(int(moment), UTC) for moment in days.time]
    assert column(days, "weekday").tolist() == [date.weekday() for date in dates]
    assert column(days, "month").tolist() == [date.month for date in dates]
    assert column(days, "day_of_month").tolist() == [date.day for date in dates]
    turns = {date.strftime("%m-%d") for date, turn in zip(dates, column(days, "turn_of_month"), strict=True) if turn}
    assert {"02-27", "02-28", "02-29", "03-01", "03-03", "12-31"} <= turns
    assert {"02-26", "03-04", "01-28"}.isdisjoint(turns)
    assert len(turns) == 12 * 6


def test_the_hour_of_intraday_bars() -> None:
    some = bars(np.full(3, 10.0))
    hourly = Bars("TEST@1h", some.time[0] + 3600 * np.arange(13, 16), *(np.full(3, 10.0) for _ in range(5)))
    assert column(hourly, "hour").tolist() == [13, 14, 15]


def test_the_calendar_of_intraday_bars_is_that_of_their_market() -> None:
    time = np.array([datetime.fromisoformat(f"{text}:00+00:00").timestamp() for text in UTC_TIMES], np.int64)
    some = Bars("TEST@1h", time, *(np.full(len(time), 10.0) for _ in range(5)), zone="America/New_York")
    assert column(some, "hour").tolist() == [9, 9, 20]
    assert column(some, "weekday").tolist() == [3, 3, 6]
    assert column(some, "month").tolist() == [2, 3, 3]
    assert column(some, "day_of_month").tolist() == [29, 14, 31]
    assert column(some, "turn_of_month").tolist() == [1, 0, 1]
    daily = Bars("TEST", bars(np.full(3, 10.0)).time, *(np.full(3, 10.0) for _ in range(5)), zone="Asia/Tokyo")
    assert column(daily, "weekday").tolist() == column(bars(np.full(3, 10.0)), "weekday").tolist()


UTC_TIMES = ("2024-02-29T14:30", "2024-03-14T13:30", "2024-04-01T00:30")
"""Before and after the clocks of New York are set forward, and an evening there that is the next day in UTC."""


def test_bars_without_trade_leave_the_features_of_traded_bars_as_they_are() -> None:
    rng = np.random.default_rng(1)
    close = np.exp(np.cumsum(0.01 * rng.standard_normal(700)))
    some = bars(close, rng.integers(100, 1000, 700).astype(np.float64))
    before, after = slice(300), slice(300, None)

    def around(values: NDArray[np.float64], still: float) -> NDArray[np.float64]:
        return np.concatenate([values[before], np.full(400, still), values[after]])

    gap = 400 * DAY
    later = replace(some, time=np.concatenate([some.time[before], some.time[after] + gap]))
    prices = {name: around(getattr(some, name), close[299]) for name in PRICES}
    time = some.time[0] + DAY * np.arange(1100)
    suspended = Bars("TEST", time, **prices, volume=around(some.volume, 0.0))
    assert np.array_equal(suspended.traded().time, later.time)
    assert np.array_equal(features.compute(suspended.traded()), features.compute(later), equal_nan=True)


def test_days_before_1970_have_their_weekday() -> None:
    assert column(bars(np.full(2, 10.0), start="1969-12-31"), "weekday").tolist() == [2, 3]


def test_returns_and_ratios() -> None:
    close = np.exp(np.arange(30) * 0.01)
    assert column(bars(close), "return_5")[5:] == pytest.approx(0.05)
    volume = np.append(np.full(29, 100.0), 480.0)
    assert column(bars(close, volume), "volume_ratio_20")[-1] == pytest.approx(480 / (19 * 100 + 480) * 20)
    assert column(bars(close), "close_position")[3] == pytest.approx(0.5)


def test_a_regime_is_the_log_ratio_to_the_trailing_median() -> None:
    volume = np.full(400, 100.0)
    volume[300:] = 200.0
    found = column(bars(np.full(400, 10.0), volume), "volume_regime")
    assert found[299] == pytest.approx(0)
    assert found[300] == pytest.approx(np.log(2))
    short = column(bars(np.full(400, 10.0), volume), "volume_regime_5")
    assert short[301] == pytest.approx(2 / 5 * np.log(2))


def test_realised_volatility_is_the_root_mean_square_return() -> None:
    close = 10 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.02, 50)))
    returns = np.diff(np.log(close))
    assert trailing.realised_volatility(close, 5)[10] == pytest.approx(np.sqrt(np.mean(returns[5:10] ** 2)))
    assert np.isnan(trailing.realised_volatility(close, 5)[:5]).all()
