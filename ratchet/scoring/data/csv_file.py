"""Import of bars from CSV files of spreadsheets and data vendors; and export."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from ratchet.errors import DataRefused
from ratchet.names import Series
from ratchet.scoring.data.bars import COLUMNS, Bars, Floats, Times, check
from ratchet.scoring.data.csv_column import Column, numbers, times
from ratchet.scoring.data.csv_header import Layout, parse_header
from ratchet.scoring.data.zones import EXAMPLE, UNKNOWN, Zones, around_the_clock, to_utc

MAX_ROWS = 5_000_000
MAX_COLUMNS = 256
MAX_HEADER = 65_536

_ROWS_A_PIECE = 4096


@dataclass(frozen=True)
class ParsedFile:
    """The bars of a file, and their differences from it.

    `timezone`: the assumed zone of times without a UTC offset; empty if there are none. `ignored_columns`: titles of
    columns that were not read; `unnamed_columns`: the numbers, from 1, of those without a title. `price_factors`: the
    smallest and the largest factor of an adjusted close, which was applied to all prices; None without one.
    `utc_offsets_converted`: times had UTC offsets. `times_of_day_dropped`: of bars of days or weeks.
    """

    bars: Bars
    timezone: str
    ignored_columns: tuple[str, ...]
    unnamed_columns: tuple[int, ...]
    volume_missing: bool
    price_factors: tuple[float, float] | None
    utc_offsets_converted: bool
    times_of_day_dropped: bool


def read(content: bytes, series: str, name: str, most_rows: int = MAX_ROWS, zones: Zones = UNKNOWN) -> ParsedFile:
    """The bars in a CSV file's bytes; `series` is their name, `name` the file's name for messages.

    Any header case and column order; separators `,` `;` or tab; a byte order mark and CRLF. Dates are YYYY-MM-DD,
    optionally with time and UTC offset. Bars of days or weeks take the date as written and lie at its midnight UTC;
    their market zone defaults to UTC. Bars within a day need both zones from `zones`, unless they trade around the
    clock: then UTC. Without a volume column every volume is 0. The factor of an adjusted close is applied to all
    prices.

    Raises DataRefused with the row (the header is row 1), the value, the rule and the next step.
    """
    header, rows = _header(content, name)
    if rows > most_rows:
        raise DataRefused(f"{name}: {rows} rows, {most_rows} at most; use a coarser timeframe or a shorter history")
    columns = parse_header(header, name)
    if columns.width > MAX_COLUMNS:
        raise DataRefused(
            f"{name} row 1: {columns.width} columns, {MAX_COLUMNS} at most; leave out those that are not of bars and"
            " import it again"
        )
    table = _cells(content, columns, name, rows)
    time = times([table[str(cell)] for cell in columns.time_cells], Series.parse(series))
    file = _File(name, content, series, zones.file_zone or "UTC" if time.naive else "")
    texts = [time.column, *(numbers(field, table[str(cell)]) for field, cell in columns.fields.items())]
    values = _values(texts, file)
    zone = _market_zone(values["date"], zones, time.naive, file)
    bars = replace(file.bars(values), zone=zone)
    check(bars, name, file.row)
    factors = None
    if "adjclose" in values:
        bars, factors = _adjusted(bars, values["adjclose"], file)
    return ParsedFile(
        bars,
        timezone=file.timezone,
        ignored_columns=columns.ignored,
        unnamed_columns=columns.unnamed,
        volume_missing="volume" not in columns.fields,
        price_factors=factors,
        utc_offsets_converted=time.utc_offsets,
        times_of_day_dropped=time.times_of_day,
    )


def write(bars: Bars) -> Iterator[bytes]:
    """A CSV file of `bars` in chunks below 1 MiB; `read` restores equal bars, bit for bit.

    Bars of days and weeks have a date, others a time in RFC 3339 UTC; the market's time zone is not in the file.
    """
    intraday = Series.parse(bars.series).intraday
    yield f"date,{','.join(COLUMNS)}\n".encode()
    for start in range(0, len(bars), _ROWS_A_PIECE):
        part = slice(start, start + _ROWS_A_PIECE)
        moments = bars.time[part].astype("datetime64[s]")
        dates = np.strings.add(moments.astype(str), "Z") if intraday else np.datetime_as_string(moments, unit="D")
        columns = [dates.tolist(), *(map(repr, getattr(bars, field)[part].tolist()) for field in COLUMNS)]
        yield "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True)).encode()


@dataclass(frozen=True)
class _File:
    """A file of a series' bars, with local times of `timezone`, or UTC if empty."""

    name: str
    content: bytes
    series: str
    timezone: str

    def bars(self, values: dict[str, NDArray[Any]]) -> Bars:
        """Bars of parsed columns; DataRefused for a local time skipped by a clock change."""
        time = values["date"]
        if self.timezone:
            time, skipped = to_utc(self.timezone, time)
            if bool(skipped.any()):
                index = int(np.argmax(skipped))
                raise self.refuse(
                    index,
                    f"no clock in {self.timezone} showed {values['date'][index].astype('datetime64[s]')!s}: clocks"
                    " were set forward over it",
                    "give the zone in which the times are written with --timezone, or correct the row,",
                )
        columns = {"volume": np.zeros(len(time))} | values
        return Bars(self.series, time, *(columns[field] for field in COLUMNS))

    def row(self, index: int) -> int:
        """The row of a bar; blank lines hold no bar, but count as rows."""
        filled = [number for number, line in enumerate(self.content.splitlines(), 1) if line]
        return filled[index + 1]

    def refuse(self, index: int, problem: str, remedy: str) -> DataRefused:
        return DataRefused(f"{self.name} row {self.row(index)}: {problem}; {remedy} and import it again")


def _header(content: bytes, name: str) -> tuple[str, int]:
    """The first line, and the maximum number of data rows."""
    if not content.strip():
        raise DataRefused(f"{name} row 1: the file is empty; export it again with a header and one row a bar")
    if b"\0" in content:
        raise DataRefused(f"{name}: byte {content.index(0)} is NUL: not a text file; save it as CSV in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataRefused(
            f"{name} row {row}: byte {content[error.start]:#04x} is not UTF-8 text; save it as CSV in UTF-8"
        ) from error
    rows = max(content.rstrip().count(newline) for newline in (b"\n", b"\r"))
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if len(header) > MAX_HEADER:
        raise DataRefused(
            f"{name} row 1: {len(header)} characters, {MAX_HEADER} at most; the first row names the columns,"
            " and one row a bar follows: export it again"
        )
    return header, rows


def _cells(content: bytes, columns: Layout, name: str, rows: int) -> pa.Table:
    """The used cells, as text: one column each, named by its number."""
    if rows == 0:
        raise DataRefused(f"{name}: a header and no rows; export it again with one row a bar")
    titles = [str(cell) for cell in range(columns.width)]
    try:
        return pcsv.read_csv(
            io.BytesIO(content),
            read_options=pcsv.ReadOptions(column_names=titles, skip_rows=1, block_size=1 << 24),
            parse_options=pcsv.ParseOptions(delimiter=columns.separator),
            convert_options=pcsv.ConvertOptions(
                column_types=dict.fromkeys(titles, pa.string()),
                include_columns=[str(cell) for cell in columns.cells],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _ragged(content, columns, name, str(error)) from error


def _ragged(content: bytes, columns: Layout, name: str, otherwise: str) -> DataRefused:
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=columns.separator)
    try:
        row, width = next((reader.line_num, len(cells)) for cells in reader if cells and len(cells) != columns.width)
    except (StopIteration, csv.Error):
        return DataRefused(f"{name}: not a CSV file: {otherwise[:200]}; export it again")
    few = "few" if width < columns.width else "many"
    return DataRefused(
        f"{name} row {row}: {width} cell{'s' * (width != 1)}, too {few}; the header has {columns.width};"
        " correct the row and import it again"
    )


def _values(columns: list[Column], file: _File) -> dict[str, NDArray[Any]]:
    """The parsed columns by field; DataRefused for the first malformed row, or an earlier row that breaks a rule."""
    try:
        return {column.field: column.parse(column.text) for column in columns}
    except pa.ArrowInvalid as error:
        index, column = min(((column.first_failing(), column) for column in columns), key=lambda found: found[0])
        above = {column.field: column.parse(column.head(index).text) for column in columns}
        check(file.bars(above), file.name, file.row)
        value = column.text[index].as_py()
        raise file.refuse(index, f"{column.field} {value[:60]!r} {column.rule}", column.remedy) from error


def _market_zone(time: Times, zones: Zones, naive: bool, file: _File) -> str:
    """The zone of the series' calendar; DataRefused if it, or the zone of naive times, is unclear."""
    if not Series.parse(file.series).intraday:
        return zones.market_zone or "UTC"
    clear = bool(zones.market_zone) and not (naive and not zones.file_zone)
    if clear or around_the_clock(time):
        return zones.market_zone or "UTC"
    if naive:
        raise DataRefused(
            f"{file.name}: its times have no UTC offset, and their zone is not known; import it with --market-timezone"
            f" ZONE, such as --market-timezone {EXAMPLE}, if they are written in market time, else with --timezone too"
        )
    raise DataRefused(
        f"{file.name}: its times have UTC offsets, which do not name the time zone of the market, in which hour and"
        f" weekday are computed; import it with --market-timezone ZONE, such as --market-timezone {EXAMPLE}"
    )


def _adjusted(bars: Bars, adjusted: Floats, file: _File) -> tuple[Bars, tuple[float, float]]:
    """Bars with all prices times adjusted close / close, and the smallest and the largest of these factors."""
    wrong = ~((adjusted > 0) & np.isfinite(adjusted))
    if bool(wrong.any()):
        index = int(np.argmax(wrong))
        raise file.refuse(
            index,
            f"adjusted close {adjusted[index]:.10g} is not a price; prices must be positive and finite",
            "correct it, or remove the column,",
        )
    factor = adjusted / bars.close
    scaled = replace(
        bars,
        open=bars.open * factor,
        high=bars.high * factor,
        low=bars.low * factor,
        close=bars.close * factor,
    )
    return scaled, (float(factor.min()), float(factor.max()))
