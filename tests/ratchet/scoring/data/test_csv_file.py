"""What is read from a CSV file, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ratchet.errors import DataRefused
from ratchet.scoring.data import csv_file
from ratchet.scoring.data.bars import Bars, written
from ratchet.scoring.data.csv_file import ParsedFile
from ratchet.scoring.data.zones import UNKNOWN, Zones

EXAMPLES = Path(__file__).parents[4] / "ratchet" / "data"
HEADER = "Date,Open,High,Low,Close,Volume\n"
GOOD = (
    "2012-01-03,10,11,9,10.5,1000\n"
    "2012-01-04,10.5,12,10,11.5,1200\n"
    "2012-01-05,11.5,11.75,11,11.25,900\n"
    "2012-01-06,11.25,12.5,11,12,1500\n"
)


def read(text: str, series: str = "TEST", zones: Zones = UNKNOWN) -> ParsedFile:
    return csv_file.read(text.encode(), series, "test.csv", zones=zones)


def refusal(text: str, series: str = "TEST", zones: Zones = UNKNOWN) -> str:
    with pytest.raises(DataRefused) as refused:
        read(text, series, zones)
    return refused.value.message


def hourly(*times: str) -> str:
    return HEADER + "".join(f"{time},10,11,9,10,5\n" for time in times)


def as_written(bars: Bars) -> ParsedFile:
    """A file that holds these bars and nothing else."""
    return ParsedFile(
        bars,
        timezone="",
        ignored_columns=(),
        unnamed_columns=(),
        volume_missing=False,
        price_factors=None,
        utc_offsets_converted=False,
        times_of_day_dropped=False,
    )


def every_hour(first: str, count: int, keeps: Callable[[datetime], bool] = lambda time: True) -> str:
    times = (datetime.fromisoformat(first) + timedelta(hours=hour) for hour in range(count))
    return hourly(*(f"{time}" for time in times if keeps(time)))


def utc(bars: Bars) -> list[str]:
    return [written(moment) for moment in bars.time]


def with_row(row: str, at: int = 3) -> str:
    rows = (HEADER + GOOD).splitlines()
    rows[at - 1] = row
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(("name", "rows"), [("AAPL", 3270), ("GOOG", 2148), ("IBM", 3270), ("FB_SHORT", 196)])
def test_the_examples_are_read_whole(name: str, rows: int) -> None:
    parsed = csv_file.read((EXAMPLES / f"{name}.csv").read_bytes(), name, f"{name}.csv")
    assert len(parsed.bars) == rows
    assert parsed == as_written(parsed.bars)
    assert written(parsed.bars.time[-1]) == "2013-03-01"


def test_values_land_in_their_columns() -> None:
    bars = read(HEADER + GOOD).bars
    assert [written(moment) for moment in bars.time] == ["2012-01-03", "2012-01-04", "2012-01-05", "2012-01-06"]
    assert bars.time.dtype == np.int64
    first = (bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0])
    assert first == (10.0, 11.0, 9.0, 10.5, 1000.0)


def test_case_order_separator_bom_crlf_quotes_and_blank_lines_do_not_matter() -> None:
    plain = read(HEADER + GOOD).bars
    variants = [
        HEADER.upper() + GOOD,
        HEADER.replace("Date", "timestamp").replace("Volume", "Vol.") + GOOD,
        (HEADER + GOOD).replace(",", ";"),
        (HEADER + GOOD).replace(",", "\t"),
        "\ufeff" + HEADER + GOOD,
        (HEADER + GOOD).replace("\n", "\r\n"),
        (HEADER + GOOD).replace("\n", "\r"),
        (HEADER + GOOD).rstrip("\n"),
        HEADER + GOOD.replace("2012-01-04", "\n2012-01-04") + "\n\n",
        HEADER + GOOD.replace(",10.5,", ', "10.5" ,').replace(', "10.5" ,', ",10.5 ,"),
        HEADER + GOOD.replace("2012-01-04", '"2012-01-04"'),
    ]
    turned = [",".join(row.split(",")[::-1]) for row in (HEADER + GOOD).splitlines()]
    for text in [*variants, "\n".join(turned)]:
        bars = read(text).bars
        for field in ("time", "open", "high", "low", "close", "volume"):
            assert np.array_equal(getattr(bars, field), getattr(plain, field)), (text, field)


def test_the_factor_of_an_adjusted_close_is_applied_to_all_prices_and_said() -> None:
    for title in ("Adj Close", "Adj_Close", "adjclose", "Adj. Close"):
        parsed = read(
            f"Date,Open,High,Low,Close,{title},Volume\n2012-01-03,10,12,8,10,5,1000\n2012-01-04,10,12,8,11,11,1000\n"
        )
        assert parsed.bars.open.tolist() == [5, 10]
        assert parsed.bars.high.tolist() == [6, 12]
        assert parsed.bars.low.tolist() == [4, 8]
        assert parsed.bars.close.tolist() == [5, 11]
        assert parsed.bars.volume.tolist() == [1000, 1000]
        assert parsed == replace(as_written(parsed.bars), price_factors=(0.5, 1.0))


def test_other_columns_are_ignored_and_said() -> None:
    parsed = read("Date,,Open,High,Low,Close,Volume,Dividends, ,Splits\n2012-01-03,,10,11,9,10.5,1000,0,,1\n")
    assert parsed == replace(as_written(parsed.bars), ignored_columns=("Dividends", "Splits"), unnamed_columns=(2, 9))


def test_daily_bars_lie_at_midnight_of_the_date_as_written() -> None:
    zoned = [row.replace(",", " 00:00:00-05:00,", 1) for row in GOOD.splitlines()]
    parsed = read(HEADER + "\n".join(zoned))
    assert np.array_equal(parsed.bars.time, read(HEADER + GOOD).bars.time)
    assert parsed == replace(as_written(parsed.bars), times_of_day_dropped=True)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2012-01-03 15:00:00-05:00", "2012-01-03 16:00:00-05:00"),
        ("2012-01-03T20:00:00Z", "2012-01-03T21:00:00Z"),
        ("2012-01-03 20:00", "2012-01-03 21:00"),
        ("2012-01-03T20:00:00.000", "2012-01-03T21:00:00.000"),
    ],
)
def test_intraday_times_become_utc(first: str, second: str) -> None:
    parsed = read(hourly(first, second), "TEST@1h", Zones("UTC", "America/New_York"))
    assert utc(parsed.bars) == ["2012-01-03T20:00:00Z", "2012-01-03T21:00:00Z"]
    assert parsed.bars.zone == "America/New_York"
    assert parsed.utc_offsets_converted == (parsed.timezone == "") == first.endswith(("Z", "-05:00"))


def test_a_date_and_a_time_column_make_one_moment() -> None:
    text = "Date,Time,Open,High,Low,Close,Volume\n2012-01-03,20:00,10,11,9,10,5\n2012-01-03,21:00,10,11,9,10,5\n"
    assert utc(read(text, "TEST@1h", Zones("UTC")).bars)[1] == "2012-01-03T21:00:00Z"


@pytest.mark.parametrize(
    ("zones", "read_in", "market"),
    [
        (Zones(timezone="Europe/Berlin"), "Europe/Berlin", "Europe/Berlin"),
        (Zones(market="Europe/Berlin"), "Europe/Berlin", "Europe/Berlin"),
        (Zones("Europe/Berlin", "America/New_York", "UTC", "UTC"), "Europe/Berlin", "America/New_York"),
        (Zones("", "America/New_York", "Europe/Berlin", "UTC"), "Europe/Berlin", "America/New_York"),
        (Zones("", "", "Europe/Berlin", "America/New_York"), "Europe/Berlin", "America/New_York"),
        (Zones("Europe/Berlin", "", "UTC", "America/New_York"), "Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_local_times_are_read_in_their_zone(zones: Zones, read_in: str, market: str) -> None:
    parsed = read(hourly("2012-01-03 21:00", "2012-07-03 21:00"), "TEST@1h", zones)
    assert utc(parsed.bars) == ["2012-01-03T20:00:00Z", "2012-07-03T19:00:00Z"]
    assert parsed.bars.zone == market
    assert parsed == replace(as_written(parsed.bars), timezone=read_in)


def test_an_unclear_zone_is_refused_and_the_option_named() -> None:
    naive, offset = every_hour("2024-01-01 09:00", 300, in_session), hourly("2012-01-03T20:00:00-05:00")
    for text in (naive, offset, hourly("2012-01-03 20:00")):
        assert "import it with --market-timezone ZONE, such as --market-timezone America/New_York" in refusal(
            text, "TEST@1h"
        )
    assert "UTC offsets, which do not name the time zone of the market" in refusal(offset, "TEST@1h")
    assert "no UTC offset, and their zone is not known" in refusal(
        naive, "TEST@1h", Zones(market_before="America/New_York")
    )


def in_session(time: datetime) -> bool:
    return time.weekday() < 5 and 9 <= time.hour < 16


def test_a_market_that_trades_around_the_clock_is_in_utc() -> None:
    parsed = read(every_hour("2024-01-01", 200), "TEST@1h")
    assert (parsed.timezone, parsed.bars.zone) == ("UTC", "UTC")
    assert utc(parsed.bars)[-1] == "2024-01-09T07:00:00Z"
    zoned = read(every_hour("2024-01-01T00:00:00+02:00", 200), "TEST@1h")
    assert (zoned.timezone, zoned.bars.zone) == ("", "UTC")


def test_the_hour_that_occurs_twice_is_told_by_the_order_of_the_rows() -> None:
    text = hourly("2023-10-29 01:00", "2023-10-29 02:00", "2023-10-29 02:00", "2023-10-29 03:00")
    bars = read(text, "TEST@1h", Zones("Europe/Berlin")).bars
    assert utc(bars) == ["2023-10-28T23:00:00Z", "2023-10-29", "2023-10-29T01:00:00Z", "2023-10-29T02:00:00Z"]
    assert "row 4: date 2023-10-29T02:00:00Z is there twice" in refusal(text, "TEST@1h", Zones("UTC"))
    assert "give their zone with --timezone" in refusal(text, "TEST@1h", Zones("UTC"))


def test_a_local_time_that_no_clock_showed_is_refused_with_its_row() -> None:
    text = hourly("2023-03-26 01:00", "2023-03-26 02:30", "2023-03-26 03:00")
    message = refusal(text, "TEST@1h", Zones("Europe/Berlin"))
    assert message.startswith("test.csv row 3: no clock in Europe/Berlin showed 2023-03-26T02:30:00")
    assert "--timezone" in message


def test_dates_are_read_in_no_zone() -> None:
    parsed = read(HEADER + GOOD, zones=Zones("Asia/Tokyo"))
    assert np.array_equal(parsed.bars.time, read(HEADER + GOOD).bars.time)
    assert parsed.bars.zone == "Asia/Tokyo"
    assert parsed == as_written(parsed.bars)
    assert read(HEADER + GOOD).bars.zone == "UTC"


def test_without_a_volume_column_the_series_has_no_volume() -> None:
    parsed = read("\n".join(row.rpartition(",")[0] for row in (HEADER + GOOD).splitlines()))
    assert not parsed.bars.has_volume
    assert parsed == replace(as_written(parsed.bars), volume_missing=True)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("2012-01-03,10.5,12,10,11.5,1200", "date 2012-01-03 is there twice, first in row 2"),
        ("2012-01-02,10.5,12,10,11.5,1200", "date 2012-01-02 comes after the later 2012-01-03"),
        ("2012-01-04,10.5,12,10,-11.5,1200", "close -11.5 is not a price"),
        ("2012-01-04,0,12,10,11.5,1200", "open 0 is not a price"),
        ("2012-01-04,10.5,NaN,10,11.5,1200", "high nan is not a price"),
        ("2012-01-04,10.5,inf,10,11.5,1200", "high inf is not a price"),
        ("2012-01-04,10.5,12,ten,11.5,1200", "low 'ten' is not a number"),
        ("2012-01-04,10.5,12,10,,1200", "close '' is not a number"),
        ("2012-01-04,10.5,12,10,null,1200", "close 'null' is not a number"),
        ("2012-01-04,10.5,10,12,10.5,1200", "high 10 is below the low 12"),
        ("2012-01-04,10.5,12,10,12.1,1200", "close 12.1 is above the high 12"),
        ("2012-01-04,10.5,12,10,9.9,1200", "close 9.9 is below the low 10"),
        ("2012-01-04,12.1,12,10,11.5,1200", "open 12.1 is above the high 12"),
        ("2012-01-04,9.9,12,10,11.5,1200", "open 9.9 is below the low 10"),
        ("2012-01-04,10.5,12,10,11.5,-1200", "volume -1200 is not a volume"),
        ("2012-01-04,10.5,12,10,11.5,nan", "volume nan is not a volume"),
        ("2012-02-30,10.5,12,10,11.5,1200", "date '2012-02-30' is not a day of the calendar"),
        ("01/04/2012,10.5,12,10,11.5,1200", "date '01/04/2012' is not a day of the calendar"),
        ("2012-01-04 16:00:00Z,10.5,12,10,11.5,1200", "date '2012-01-04 16:00:00Z' is not a day"),
        ("2012-01-04,10.5,12,10,11.5", "5 cells, too few; the header has 6"),
        ("2012-01-04,10.5,12,10,11.5,1,200", "7 cells, too many; the header has 6"),
    ],
)
def test_a_bad_row_is_named_with_value_rule_and_next_step(row: str, what: str) -> None:
    message = refusal(with_row(row))
    assert message.startswith(f"test.csv row 3: {what}"), message
    assert message.endswith("import it again")


def test_the_first_bad_row_is_named_and_the_others_counted() -> None:
    message = refusal(HEADER + GOOD.replace(",1200", ",-1").replace(",1500", ",-1").replace(",900", ",-1"))
    assert message.startswith("test.csv row 3: volume -1 ")
    assert "2 more rows break rules" in message


def test_the_first_bad_row_is_named_whatever_is_wrong_with_it() -> None:
    unreadable_below = GOOD.replace(",1200", ",-1").replace("11.5,11.75", "x,11.75").replace("2012-01-06", "soon")
    assert refusal(HEADER + unreadable_below).startswith("test.csv row 3: volume -1 is not a volume")
    assert refusal(HEADER + unreadable_below.replace(",-1", ",1")).startswith(
        "test.csv row 4: open 'x' is not a number"
    )
    assert refusal(HEADER + ",,,,,\n").startswith("test.csv row 2: date '' is not a day")


def test_blank_lines_count_as_rows() -> None:
    broken = "\n\n" + GOOD.replace(",11.5,1200", ",x,1200")
    assert refusal(HEADER + broken).startswith("test.csv row 5: close 'x'")


def test_a_bad_cell_far_down_is_found() -> None:
    days = np.datetime_as_string(np.datetime64("1990-01-01") + np.arange(5000))
    rows = [f"{day},10,11,9,10,5" for day in days]
    rows[4321] = rows[4321].replace(",10,5", ",1O,5")
    assert refusal(HEADER + "\n".join(rows)).startswith("test.csv row 4323: close '1O' is not a number")


def test_newest_first_is_refused_with_the_way_out() -> None:
    message = refusal(HEADER + "\n".join(reversed(GOOD.splitlines())))
    assert message.startswith("test.csv row 3: date 2012-01-05 comes before 2012-01-06")
    assert "sort it oldest first" in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "row 1: the file is empty"),
        (b" \n\n", "row 1: the file is empty"),
        (HEADER.encode(), "a header and no rows"),
        (HEADER.encode() + b"\n\n", "a header and no rows"),
        (GOOD.encode(), "row 1: no column date, open, high, low, close among '2012-01-03'"),
        ((HEADER + GOOD).replace("Close", "Last").encode(), "row 1: no column close among 'Date'"),
        ((HEADER + GOOD).replace("Date", "Day").encode(), "row 1: no column date among 'Day'"),
        ((HEADER + GOOD).replace("Open", "Close").encode(), "row 1: columns 'Close' and 'Close' both say close"),
        (b"PK\x03\x04\x00\x00" + GOOD.encode(), "byte 4 is NUL"),
        ((HEADER + GOOD).encode("utf-16"), "is NUL"),
        (HEADER.encode() + b"2012-01-03,\xff,11,9,10.5,1000\n", "row 2: byte 0xff is not UTF-8 text"),
    ],
)
def test_what_is_no_file_of_bars_is_refused(content: bytes, what: str) -> None:
    with pytest.raises(DataRefused) as refused:
        csv_file.read(content, "TEST", "test.csv")
    assert what in refused.value.message
    assert refused.value.message.startswith("test.csv")


def test_a_bad_adjusted_close_is_refused() -> None:
    text = "Date,Open,High,Low,Close,Adj Close,Volume\n2012-01-03,10,12,8,10,-5,1000\n"
    assert refusal(text).startswith("test.csv row 2: adjusted close -5 is not a price")


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(DataRefused, match=r"test\.csv: 4 rows, 3 at most; use a coarser timeframe"):
        csv_file.read((HEADER + GOOD).encode(), "TEST", "test.csv", most_rows=3)


def test_a_header_that_names_too_much_is_refused() -> None:
    names = ",".join(f"extra{number}" for number in range(251))
    assert "row 1: 257 columns, 256 at most" in refusal(f"{HEADER.strip()},{names}\n{GOOD}")
    assert "row 1: 70000 characters, 65536 at most" in refusal("d" * 70_000 + "\n1\n")


def test_float32_rounding_of_an_export_is_tolerated() -> None:
    assert len(read(HEADER + "2012-01-03,10,10.0100000,9,10.0100002,5\n").bars) == 1


@pytest.mark.slow
def test_a_million_rows_are_read() -> None:
    moments = np.datetime_as_string(np.datetime64("1990-01-01T00:00") + np.arange(1_000_000), unit="m")
    rows = [f"{moment},10.25,18.123456,9.5,{11 + i % 5}.25,{i}" for i, moment in enumerate(moments)]
    bars = read(HEADER + "\n".join(rows), "TEST@1m").bars
    assert len(bars) == 1_000_000
    assert bars.volume[-1] == 999_999
