"""Pages of lists, by position: oldest first, stable while new events arrive."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ratchet.errors import InvalidInput
from services.registry.eventlog import Log
from services.registry.eventlog.database import SqlValue
from services.registry.queries.as_of import AsOf, parse_as_of, position_of

DEFAULT_SIZE = 100
LARGEST_SIZE = 1000


class Paged(Protocol):
    """A list request."""

    page_size: int
    page_token: str

    def CopyFrom(self, other: Any, /) -> None: ...

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


@dataclass(frozen=True)
class PageStart:
    """Start of a page: after a position of its list, now or as of a log position."""

    after: int
    as_of: AsOf | None

    @classmethod
    def of(cls, log: Log, request: Paged) -> PageStart:
        """The start that a page token names, or the beginning. InvalidInput for a token of another list.

        A token keeps the as-of position of its list: all pages show the same state.
        """
        if not request.page_token:
            return cls(0, parse_as_of(log, request))
        try:
            after, position, list_id = map(int, base64.urlsafe_b64decode(request.page_token).decode().split("."))
        except (binascii.Error, ValueError):
            list_id = -1
        if list_id != _list_id(request):
            raise InvalidInput(
                "page_token is not of this list; send the next_page_token of the answer before, and the same request",
                fields={"page_token": "not of this list"},
            )
        return cls(after, AsOf(position, f"log position {position}") if position >= 0 else None)

    @property
    def position(self) -> int:
        """The position that the list is read as of."""
        return position_of(self.as_of)

    def token(self, request: Paged, after: int) -> str:
        """The token of the page after a position."""
        position = self.as_of.position if self.as_of else -1
        return base64.urlsafe_b64encode(f"{after}.{position}.{_list_id(request)}".encode()).decode()


@dataclass(frozen=True)
class Page:
    """Rows with a position, and the token of the next page; empty on the last."""

    rows: Sequence[dict[str, Any]]
    next_token: str


@dataclass(frozen=True)
class Condition:
    """A SQL condition with its parameters."""

    sql: str
    params: tuple[SqlValue, ...] = ()


def equal(**columns: SqlValue) -> list[Condition]:
    """Equality conditions for the columns with a value."""
    return [Condition(f"{name} = ?", (value,)) for name, value in columns.items() if value not in (None, "")]


def select(
    log: Log,
    table: str,
    request: Paged,
    start: PageStart,
    conditions: Sequence[Condition],
    position: str = "position",
) -> Page:
    """The page of `table` for `request`: rows as of the start's position.

    InvalidInput for a page size out of range.
    """
    if not 0 <= request.page_size <= LARGEST_SIZE:
        raise InvalidInput(
            f"page_size {request.page_size} is out of range; use 1 to {LARGEST_SIZE}, or 0 for {DEFAULT_SIZE}",
            fields={"page_size": "out of range"},
        )
    size = request.page_size or DEFAULT_SIZE
    wanted = [Condition(f"{position} > ?", (start.after,)), *conditions]
    if start.as_of:
        wanted.append(Condition(f"{position} <= ?", (start.as_of.position,)))
    rows = log.query(
        f"SELECT * FROM {table} WHERE {' AND '.join(found.sql for found in wanted)} ORDER BY {position} LIMIT ?",
        (*(value for found in wanted for value in found.params), size + 1),
    )
    more = len(rows) > size
    return Page(rows[:size], start.token(request, rows[size - 1][position]) if more else "")


def _list_id(request: Paged) -> int:
    """A checksum of the request without page token and page size."""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.page_size, bare.page_token = 0, ""
    return zlib.crc32(bare.SerializeToString(deterministic=True))
