"""Columns of a CSV file as text, with vectorised parsing of their cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ratchet.names import Series
from ratchet.scoring.data.bars import Floats, Times
from ratchet.scoring.data.zones import DAY

_MICROSECONDS = 1_000_000
_DATE = 10
_ZONED = r"\d{2}:.*([zZ]|[+-]\d{2}:?\d{2}|[+-]\d{2})$"


@dataclass(frozen=True)
class Column:
    """A column's cells, their parser (ArrowInvalid for a malformed cell), its rule and remedy."""

    field: str
    text: pa.ChunkedArray
    parse: Callable[[pa.ChunkedArray], NDArray[Any]]
    rule: str
    remedy: str

    def head(self, n: int) -> Column:
        return replace(self, text=self.text[:n])

    def first_failing(self) -> int:
        """The index of the first malformed cell, or the number of cells."""
        if self._parses(self.text):
            return len(self.text)
        good, bad = 0, len(self.text)
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self._parses(self.text[:middle]) else (good, middle)
        return good

    def _parses(self, text: pa.ChunkedArray) -> bool:
        try:
            self.parse(text)
        except pa.ArrowInvalid:
            return False
        return True


def numbers(field: str, text: pa.ChunkedArray) -> Column:
    return Column(
        field,
        pc.utf8_trim_whitespace(text),
        _floats,
        "is not a number",
        "write numbers like 1234.56, without separators of thousands, or remove the row,",
    )


@dataclass(frozen=True)
class TimeColumn:
    """The column of times, epoch seconds UTC when parsed.

    Bars within a day have their times parsed as UTC if they are `naive`, without UTC offsets, else converted to UTC.
    Bars of days and weeks lie at midnight UTC of the date as written; `times_of_day`: whether any had one.
    """

    column: Column
    naive: bool
    utc_offsets: bool
    times_of_day: bool


def times(parts: Sequence[pa.ChunkedArray], series: Series) -> TimeColumn:
    """The column of times from dates with or without times of day, or from dates and times of day separately.

    The first cell decides whether all cells have a UTC offset.
    """
    trimmed = [pc.utf8_trim_whitespace(part) for part in parts]
    text = trimmed[0] if len(trimmed) == 1 else pc.binary_join_element_wise(*trimmed, " ")
    zoned = bool(pc.match_substring_regex(text[0], _ZONED).as_py())

    def parse(cells: pa.ChunkedArray) -> Times:
        moments = _moments(cells, zoned)
        return moments if series.intraday else _dates(cells)

    column = Column(
        "date",
        text,
        parse,
        "is not a day of the calendar, written like the rows above as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS+00:00",
        "write dates as YYYY-MM-DD",
    )
    if series.intraday:
        return TimeColumn(column, naive=not zoned, utc_offsets=zoned, times_of_day=False)
    dropped = bool(pc.any(pc.greater(pc.utf8_length(text), _DATE)).as_py())
    return TimeColumn(column, naive=False, utc_offsets=False, times_of_day=dropped)


def _floats(text: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.cast(text, pa.float64()).to_numpy(), np.float64)


def _moments(text: pa.ChunkedArray, zoned: bool) -> Times:
    kind = pa.timestamp("us", "UTC" if zoned else None)
    return np.asarray(pc.cast(pc.cast(text, kind), pa.int64()).to_numpy(), np.int64) // _MICROSECONDS


def _dates(text: pa.ChunkedArray) -> Times:
    days = pc.cast(pc.cast(pc.utf8_slice_codeunits(text, 0, _DATE), pa.date32()), pa.int32())
    return np.asarray(days.to_numpy(), np.int64) * DAY
