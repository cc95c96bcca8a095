"""Bars from a CSV file, as spreadsheets and data vendors export it; and back into one."""

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
from services.trainer.data.bars import Bars, Floats, check
from services.trainer.data.column import Column, numbers, times
from services.trainer.data.header import FIELDS, Layout, layout

MOST_ROWS = 5_000_000
MOST_COLUMNS = 256
LONGEST_HEADER = 65_536

_ROWS_A_PIECE = 4096


@dataclass(frozen=True)
class Parsed:
    """The bars of a file, and what was done to them or left aside, a sentence each."""

    bars: Bars
    notes: tuple[str, ...]


def read(content: bytes, series: str, name: str, most_rows: int = MOST_ROWS) -> Parsed:
    """The bars in a CSV file's bytes; `series` is their name, `name` the file's name for messages.

    Any header case and column order; separators `,` `;` or tab; a byte order mark and CRLF. Dates are
    YYYY-MM-DD, with time and zone if wanted; without a zone they are UTC. Bars of days or weeks take the date as
    it is written and lie at its midnight UTC. The factor of an adjusted close is applied to all prices.

    Raises DataRefused with the row (the header is row 1), the value, the rule and the next step.
    """
    header, rows = _header(content, name)
    if rows > most_rows:
        raise DataRefused(f"{name}: {rows} rows, {most_rows} at most; use a coarser timeframe or a shorter history")
    columns = layout(header, name)
    if columns.width > MOST_COLUMNS:
        raise DataRefused(
            f"{name} row 1: {columns.width} columns, {MOST_COLUMNS} at most; leave out those that are not of bars and"
            " import it again"
        )
    table = _cells(content, columns, name, rows)
    file = _File(name, content)
    when, notes = times([table[str(cell)] for cell in columns.when], Series.parse(series).timeframe)
    texts = [when, *(numbers(field, table[str(cell)]) for field, cell in columns.fields.items())]
    values = _values(texts, series, file)
    bars = _bars(values, series)
    check(bars, name, file.row)
    if columns.ignored:
        notes = (f"ignored columns: {', '.join(columns.ignored)}", *notes)
    if "adjclose" in values:
        bars, factor = _adjusted(bars, values["adjclose"], file)
        notes = (*notes, factor)
    return Parsed(bars, notes)


def write(bars: Bars) -> Iterator[bytes]:
    """A CSV file of `bars` in pieces below 1 MiB, from which `read` makes bars that are equal to the last bit.

    Bars of days and weeks have a date, others a time in RFC 3339 UTC.
    """
    daily = Series.parse(bars.series).timeframe[-1] in "dw"
    yield f"date,{','.join(FIELDS)}\n".encode()
    for start in range(0, len(bars), _ROWS_A_PIECE):
        part = slice(start, start + _ROWS_A_PIECE)
        moments = bars.time[part].astype("datetime64[s]")
        dates = np.datetime_as_string(moments, unit="D") if daily else np.strings.add(moments.astype(str), "Z")
        columns = [dates.tolist(), *(map(repr, getattr(bars, field)[part].tolist()) for field in FIELDS)]
        yield "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True)).encode()


@dataclass(frozen=True)
class _File:
    """What a refusal needs to name a row: blank lines hold no bar, but count as rows."""

    name: str
    content: bytes

    def row(self, index: int) -> int:
        filled = [number for number, line in enumerate(self.content.splitlines(), 1) if line]
        return filled[index + 1]

    def refuse(self, index: int, what: str, then: str) -> DataRefused:
        return DataRefused(f"{self.name} row {self.row(index)}: {what}; {then} and import it again")


def _header(content: bytes, name: str) -> tuple[str, int]:
    """The first line, and the largest number of data rows that there can be."""
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
    if len(header) > LONGEST_HEADER:
        raise DataRefused(
            f"{name} row 1: {len(header)} characters, {LONGEST_HEADER} at most; the first row names the columns,"
            " and one row a bar follows: export it again"
        )
    return header, rows


def _cells(content: bytes, columns: Layout, name: str, rows: int) -> pa.Table:
    """The cells that are read, as text: one column each, named by its number."""
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


def _values(columns: list[Column], series: str, file: _File) -> dict[str, NDArray[Any]]:
    """The parsed columns by field; DataRefused for the first row that can't be parsed or breaks a rule before."""
    try:
        return {column.field: column.parse(column.text) for column in columns}
    except pa.ArrowInvalid as error:
        index, column = min(((column.first_failing(), column) for column in columns), key=lambda found: found[0])
        above = {column.field: column.parse(column.head(index).text) for column in columns}
        check(_bars(above, series), file.name, file.row)
        value = column.text[index].as_py()
        raise file.refuse(index, f"{column.field} {value[:60]!r} {column.rule}", column.then) from error


def _bars(values: dict[str, NDArray[Any]], series: str) -> Bars:
    return Bars(series, values["date"], *(values[field] for field in FIELDS))


def _adjusted(bars: Bars, adjusted: Floats, file: _File) -> tuple[Bars, str]:
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
    return scaled, f"adjusted close: its factor ({factor.min():.6g} to {factor.max():.6g}) was applied to all prices"
