"""Datasets: the same bars have the same name in every file, and what changed is told bar by bar."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.errors import CorruptData
from ratchet.scoring.data import csv_file, snapshot
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.data.snapshot import Difference

ROOT = Path(__file__).parents[4]
AAPL = ROOT / "ratchet" / "data" / "AAPL.csv"
FIELDS = ("time", "open", "high", "low", "close", "volume")
DAY = 86_400


def aapl() -> Bars:
    return csv_file.read(AAPL.read_bytes(), "AAPL", AAPL.name).bars


def made(times: list[int], close: float = 10.0) -> Bars:
    values = np.full(len(times), close)
    return Bars("TEST", np.array(times, np.int64), values, values, values, values, values)


def without(bars: Bars, rows: list[int]) -> Bars:
    columns = {field: np.delete(getattr(bars, field), rows) for field in FIELDS}
    return Bars(bars.series, **columns)


def test_decode_gives_back_every_bit() -> None:
    bars = aapl()
    again = snapshot.decode(snapshot.encode(bars))
    assert again.series == "AAPL"
    assert all(getattr(again, field).tobytes() == getattr(bars, field).tobytes() for field in FIELDS)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**40), 2**40), unique=True).map(sorted), st.floats(1e-300, 1e300))
def test_any_bars_survive(times: list[int], close: float) -> None:
    bars = made(times, close)
    content = snapshot.encode(bars)
    assert snapshot.encode(snapshot.decode(content)) == content


def test_the_digest_is_that_of_the_documented_bytes() -> None:
    bars = Bars(
        "AAPL@1h",
        np.array([-1, 3_600], np.int64),
        *(np.array(pair) for pair in ((1.0, 2.0), (1.5, 2.5), (0.5, 1.5), (1.25, 2.25), (-0.0, 100.0))),
        zone="America/New_York",
    )
    header = b"ratchet dataset 1\nAAPL@1h\nAmerica/New_York\ntime open high low close volume\n"
    values = struct.pack("<2q10d", -1, 3_600, 1.0, 2.0, 1.5, 2.5, 0.5, 1.5, 1.25, 2.25, 0.0, 100.0)
    assert snapshot.digest(bars) == hashlib.sha256(header + values).hexdigest()
    assert snapshot.digest(bars) == "7a070c8d460109e121a000daff76f03fcd9aa2d13387e47cc79f2516e298d383"


def test_a_kept_digest_of_the_demo_file() -> None:
    assert snapshot.digest(aapl()) == "0eb4d2bad999f1faccb4d61fbdc150ec099ea61cfeaf9dc48f4ffeca16b49d4a"
    assert snapshot.digest(aapl().head(0)) != snapshot.digest(aapl().head(1))


def test_the_file_has_no_part_in_the_digest() -> None:
    bars = aapl()
    table = pq.read_table(pa.BufferReader(snapshot.encode(bars)))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", row_group_size=100)
    other = bytes(sink.getvalue())
    assert other != snapshot.encode(bars)
    assert snapshot.digest(snapshot.decode(other)) == snapshot.digest(bars)
    big_endian = replace(bars, close=bars.close.astype(">f8"), time=bars.time.astype(">i8"))
    assert snapshot.digest(big_endian) == snapshot.digest(bars)


def test_negative_zero_is_zero() -> None:
    bars = made([0, 1])
    zeros = (replace(bars, volume=np.array([0.0, 1.0])), replace(bars, volume=np.array([-0.0, 1.0])))
    assert len({snapshot.digest(each) for each in zeros}) == 1


@pytest.mark.parametrize("field", FIELDS)
def test_every_value_has_a_part_in_the_digest(field: str) -> None:
    bars = made([0, 10, 20])
    values = getattr(bars, field).copy()
    values[1] += 1
    assert snapshot.digest(replace(bars, **{field: values})) != snapshot.digest(bars)


def test_another_process_writes_the_same_bytes() -> None:
    program = (
        "import hashlib\n"
        "from pathlib import Path\n"
        "from ratchet.scoring.data import csv_file, snapshot\n"
        f"content = Path({str(AAPL)!r}).read_bytes()\n"
        "found = snapshot.encode(csv_file.read(content, 'AAPL', 'AAPL.csv').bars)\n"
        "print(hashlib.sha256(found).hexdigest())\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == hashlib.sha256(snapshot.encode(aapl())).hexdigest()


def test_equal_bars_of_two_series_differ() -> None:
    assert snapshot.digest(made([0])) != snapshot.digest(replace(made([0]), series="OTHER"))


def test_the_market_time_zone_is_kept_and_covered_by_the_digest() -> None:
    zoned = replace(made([0]), zone="America/New_York")
    assert snapshot.decode(snapshot.encode(zoned)).zone == "America/New_York"
    assert snapshot.digest(zoned) != snapshot.digest(made([0]))


def test_corrupt_bytes_are_refused() -> None:
    content = snapshot.encode(aapl())
    flipped = bytearray(content)
    flipped[2000] ^= 1
    for wrong in (b"", b"garbage", content[:-1], content[: len(content) // 2], bytes(flipped)):
        with pytest.raises(CorruptData):
            snapshot.decode(wrong)


def test_parquet_of_something_else_is_refused() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"time": [1, 2], "price": [1.0, 2.0]}), sink)
    with pytest.raises(CorruptData, match="columns"):
        snapshot.decode(bytes(sink.getvalue()))


def test_the_same_bars_differ_in_nothing() -> None:
    assert snapshot.difference(aapl(), aapl()) == Difference(0, 0, 0, None)
    assert snapshot.difference(aapl(), aapl()).first_changed is None


def test_later_bars_are_appended() -> None:
    assert snapshot.difference(aapl().head(3000), aapl()) == Difference(270, 0, 0, None)
    assert snapshot.difference(made([]), made([1, 2])) == Difference(2, 0, 0, None)


def test_missing_bars_are_removed() -> None:
    bars = aapl()
    found = snapshot.difference(bars, without(bars, [100, 200]))
    assert found == Difference(0, 0, 2, int(bars.time[100]))


def test_another_value_or_a_bar_put_into_the_past_is_a_change() -> None:
    bars = aapl()
    volume = bars.volume.copy()
    volume[50] += 1
    assert snapshot.difference(bars, replace(bars, volume=volume)) == Difference(0, 1, 0, int(bars.time[50]))
    assert snapshot.difference(without(bars, [70]), bars) == Difference(0, 1, 0, int(bars.time[70]))


def test_all_kinds_of_change_at_once() -> None:
    assert snapshot.difference(made([1, 2, 3, 5]), made([2, 4, 5, 6, 7], 10.0)) == Difference(2, 1, 2, 1)
    assert snapshot.difference(made([1, 2]), made([])) == Difference(0, 0, 2, 1)
