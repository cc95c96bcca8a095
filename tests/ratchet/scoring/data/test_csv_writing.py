"""What is written is read back to the last bit, whatever the prices and the timeframe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.scoring.data import csv_file, snapshot
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.data.zones import Zones

TINY, HUGE = 5e-324, 1.7e308
DAY = 86_400
FIRST, LAST = -62_135_596_800, 253_402_300_799
"""From the year 1 to the year 9999."""

prices = st.floats(TINY, HUGE)
volumes = st.floats(0.0, HUGE)


@st.composite
def bars(draw: st.DrawFn) -> Bars:
    series, unit = draw(st.sampled_from([("AAPL", DAY), ("^GSPC@1w", 7 * DAY), ("EUR-USD@1h", 3600), ("X@1m", 1)]))
    times = draw(st.lists(st.integers(FIRST // unit + 1, LAST // unit), min_size=1, max_size=30, unique=True))
    rows = [sorted(draw(st.tuples(prices, prices, prices, prices))) for _ in times]
    low, one, other, high = (np.array(column) for column in zip(*rows, strict=True))
    traded = np.array([draw(volumes) for _ in times])
    zone = draw(st.sampled_from(["UTC", "America/New_York"]))
    return Bars(series, np.sort(np.array(times)) * unit, one, high, low, other, traded, zone=zone)


@settings(max_examples=200, deadline=None)
@given(bars=bars())
def test_bars_survive_a_file(bars: Bars) -> None:
    content = b"".join(csv_file.write(bars))
    back = csv_file.read(content, bars.series, "bars.csv", zones=Zones(market=bars.zone)).bars
    assert snapshot.encode(back) == snapshot.encode(bars)


@pytest.mark.parametrize(
    ("series", "date"), [("AAPL", b"2024-03-01"), ("AAPL@1w", b"2024-03-01"), ("AAPL@15m", b"2024-03-01T00:00:00Z")]
)
def test_days_have_dates_and_shorter_bars_have_times(series: str, date: bytes) -> None:
    one = np.ones(1)
    bars = Bars(series, np.array([1_709_251_200]), one, one, one, one, one)
    lines = b"".join(csv_file.write(bars)).splitlines()
    assert lines == [b"date,open,high,low,close,volume", date + b",1.0,1.0,1.0,1.0,1.0"]


def test_many_bars_are_written_in_pieces() -> None:
    count = 10_000
    column = np.full(count, 1 / 3)
    pieces = list(csv_file.write(Bars("X@1m", np.arange(count) * 60, column, column, column, column, column)))
    assert len(pieces) == 4
    assert max(map(len, pieces)) < 1 << 20
    assert len(b"".join(pieces).splitlines()) == count + 1
