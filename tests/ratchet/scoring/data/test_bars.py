"""Cutting bars by count and by time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ratchet.errors import DataRefused
from ratchet.patterns.snapshot_rows import RowRange
from ratchet.scoring.data.bars import COLUMNS, Bars, check, written

DAY = 86_400


def bars(n: int) -> Bars:
    close = np.linspace(10, 20, n)
    return Bars("TEST", np.arange(n) * DAY, close, close + 1, close - 1, close, np.full(n, 5.0))


def test_head_keeps_the_oldest() -> None:
    assert bars(5).head(2).time.tolist() == [0, DAY]
    assert len(bars(5).head(9)) == 5


def test_until_includes_the_bar_at_that_time_and_nothing_later() -> None:
    assert len(bars(5).until(2 * DAY)) == 3
    assert len(bars(5).until(2 * DAY - 1)) == 2
    assert len(bars(5).until(-1)) == 0
    assert len(bars(5).until(99 * DAY)) == 5


def test_a_part_of_the_bars_keeps_series_and_zone() -> None:
    zoned = replace(bars(9), zone="Asia/Tokyo")
    for part in (zoned.head(2), zoned.until(DAY), standing(zoned, slice(2, 9)).traded()):
        assert (part.series, part.zone, len(part)) == ("TEST", "Asia/Tokyo", 2)


def test_local_time_is_that_of_the_market_and_dates_stay() -> None:
    summer = 1_688_212_800
    hourly = replace(bars(2), series="TEST@1h", time=np.array([summer, summer + 184 * DAY]), zone="America/New_York")
    assert (hourly.time - hourly.local_time).tolist() == [4 * 3600, 5 * 3600]
    daily = replace(hourly, series="TEST")
    assert daily.local_time.tolist() == daily.time.tolist()


def standing(some: Bars, rows: slice, price: float = 15.0, volume: float = 0.0) -> Bars:
    """The bars, in which some rows have one price."""
    columns = {name: getattr(some, name).copy() for name in COLUMNS}
    for name in COLUMNS:
        columns[name][rows] = volume if name == "volume" else price
    return replace(some, **columns)


def test_five_bars_of_one_price_without_volume_are_a_standstill() -> None:
    some = bars(30)
    assert standing(some, slice(10, 15)).standstills() == (RowRange(10, 5),)
    for trades in (
        some,
        standing(some, slice(10, 14)),
        standing(some, slice(10, 15), volume=1.0),
        standing(standing(some, slice(10, 14)), slice(14, 18), price=16.0),
        replace(standing(some, slice(10, 15)), high=some.high + 1),
    ):
        assert trades.standstills() == ()
        assert trades.traded() is trades


def test_without_volume_the_price_alone_decides() -> None:
    some = replace(bars(30), volume=np.zeros(30))
    assert not some.has_volume
    assert some.standstills() == ()
    assert standing(some, slice(25, 30)).standstills() == (RowRange(25, 5),)


def test_traded_bars_are_those_outside_the_standstills() -> None:
    some = standing(standing(bars(30), slice(2, 8)), slice(20, 30), price=16.0)
    assert some.standstills() == (RowRange(2, 6), RowRange(20, 10))
    assert (some.traded().time // DAY).tolist() == [0, 1, *range(8, 20)]
    assert len(standing(some, slice(0, 30)).traded()) == 0


def test_good_bars_and_no_bars_pass() -> None:
    check(bars(5), "test.csv")
    check(bars(0), "test.csv")


def test_check_names_the_row_that_it_is_told() -> None:
    bad = bars(5)
    bad.volume[3] = -1
    with pytest.raises(DataRefused, match=r"test.csv row 5: volume -1"):
        check(bad, "test.csv")
    with pytest.raises(DataRefused, match=r"test.csv row 103: volume -1"):
        check(bad, "test.csv", lambda index: index + 100)


@pytest.mark.parametrize("order", [1, -1])
def test_a_time_that_no_calendar_has_is_refused_with_its_row(order: int) -> None:
    far = bars(5)
    far.time[3] = 10**12
    given = far if order == 1 else Bars("TEST", far.time[::-1].copy(), *(getattr(far, name) for name in COLUMNS))
    row = 5 if order == 1 else 3
    with pytest.raises(DataRefused, match=rf"test.csv row {row}: its date is not in the years 1 to 9999"):
        check(given, "test.csv")


def test_times_are_written_as_dates_where_they_are_dates() -> None:
    assert written(DAY) == "1970-01-02"
    assert written(DAY + 3600) == "1970-01-02T01:00:00Z"
    assert written(-DAY) == "1969-12-31"
