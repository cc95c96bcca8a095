"""Parsing of a CSV header."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from ratchet.errors import DataRefused
from ratchet.scoring.data.bars import COLUMNS, PRICES

SEPARATORS = (",", ";", "\t")

_SPELLINGS = {
    "date": "date",
    "datetime": "datetime",
    "timestamp": "datetime",
    "time": "time",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "adjclose": "adjclose",
    "adjustedclose": "adjclose",
    "volume": "volume",
    "vol": "volume",
}


@dataclass(frozen=True)
class Layout:
    """Columns of a file: cell numbers from 0.

    `time_cells` holds one cell (a date or a time) or two (a date, a time of day); `fields` maps each of PRICES, and
    `volume` and `adjclose` if present, to its cell; `ignored` are the titles of the other columns, `unnamed` the
    numbers, from 1, of those without a title.
    """

    separator: str
    width: int
    time_cells: tuple[int, ...]
    fields: dict[str, int]
    ignored: tuple[str, ...]
    unnamed: tuple[int, ...]

    @property
    def cells(self) -> tuple[int, ...]:
        """All used cells, in the order of the file."""
        return tuple(sorted({*self.time_cells, *self.fields.values()}))


def parse_header(line: str, name: str) -> Layout:
    """The layout of a header line, in any case and order; DataRefused for a missing or repeated column."""
    separator = max(SEPARATORS, key=line.count)
    try:
        titles = [title.strip() for title in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error as error:
        raise DataRefused(f"{name} row 1: not a header of CSV: {error}; export it again") from error
    found: dict[str, int] = {}
    ignored: list[str] = []
    unnamed: list[int] = []
    for cell, title in enumerate(titles):
        field = _SPELLINGS.get(re.sub(r"[^a-z]", "", title.lower()))
        if field is None and title:
            ignored.append(title)
        elif field is None:
            unnamed.append(cell + 1)
        elif field in found:
            raise DataRefused(
                f"{name} row 1: columns {titles[found[field]]!r} and {title!r} both say {field}; keep one of them and"
                " import it again"
            )
        else:
            found[field] = cell
    time_cells = _time_cells(found)
    missing = [*([] if time_cells else ["date"]), *(field for field in PRICES if field not in found)]
    if missing:
        raise DataRefused(
            f"{name} row 1: no column {', '.join(missing)} among {_shown(titles)}; the first row must name the columns"
            " date, open, high, low and close, and volume if there is one: add what is missing and import it again"
        )
    fields = {field: found[field] for field in (*COLUMNS, "adjclose") if field in found}
    return Layout(separator, len(titles), time_cells, fields, tuple(ignored), tuple(unnamed))


def _time_cells(found: dict[str, int]) -> tuple[int, ...]:
    if "datetime" in found:
        return (found["datetime"],)
    return tuple(found[field] for field in ("date", "time") if field in found)


def _shown(titles: list[str]) -> str:
    shown = ", ".join(repr(title) for title in titles[:12])
    return f"{shown}, …" if len(titles) > 12 else shown or "nothing"
