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
from services.registry.queries.as_of import Past, past_of

DEFAULT_SIZE = 100
LARGEST_SIZE = 1000


class Paged(Protocol):
    """A list request."""

    page_size: int
    page_token: str

    def CopyFrom(self, other: Any, /) -> None: ...

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


@dataclass(frozen=True)
class Place:
    """Where in its list a page begins: after a position, in the present or in one point of the past."""

    after: int
    past: Past | None

    @classmethod
    def of(cls, log: Log, request: Paged) -> Place:
        """The place that a page token names, or the beginning. InvalidInput for a token of another list.

        A token keeps the position that its list is as of: all pages show one point of the past.
        """
        if not request.page_token:
            return cls(0, past_of(log, request))
        try:
            after, as_of, list_id = map(int, base64.urlsafe_b64decode(request.page_token).decode().split("."))
        except (binascii.Error, ValueError):
            list_id = -1
        if list_id != _list_id(request):
            raise InvalidInput(
                "page_token is not of this list; send the next_page_token of the answer before, and the same request",
                fields={"page_token": "not of this list"},
            )
        return cls(after, Past(as_of, f"log position {as_of}") if as_of >= 0 else None)

    def token(self, request: Paged, after: int) -> str:
        """The token of the page that begins after a position."""
        as_of = self.past.position if self.past else -1
        return base64.urlsafe_b64encode(f"{after}.{as_of}.{_list_id(request)}".encode()).decode()


@dataclass(frozen=True)
class Page:
    """Rows with a position, and the token of the next page; empty on the last."""

    rows: Sequence[dict[str, Any]]
    next_token: str


@dataclass(frozen=True)
class Condition:
    """SQL that a row must fulfil, with its parameters."""

    sql: str
    params: tuple[SqlValue, ...] = ()


def equal(**columns: SqlValue) -> list[Condition]:
    """Each column that is given a value equals it."""
    return [Condition(f"{name} = ?", (value,)) for name, value in columns.items() if value not in (None, "")]


def select(
    log: Log,
    table: str,
    request: Paged,
    place: Place,
    conditions: Sequence[Condition],
    position: str = "position",
) -> Page:
    """The page of `table` that `request` asks for: rows that were there at the place's point of the past.

    InvalidInput for a page size out of range.
    """
    if not 0 <= request.page_size <= LARGEST_SIZE:
        raise InvalidInput(
            f"page_size {request.page_size} is out of range; use 1 to {LARGEST_SIZE}, or 0 for {DEFAULT_SIZE}",
            fields={"page_size": "out of range"},
        )
    size = request.page_size or DEFAULT_SIZE
    wanted = [Condition(f"{position} > ?", (place.after,)), *conditions]
    if place.past:
        wanted.append(Condition(f"{position} <= ?", (place.past.position,)))
    rows = log.query(
        f"SELECT * FROM {table} WHERE {' AND '.join(found.sql for found in wanted)} ORDER BY {position} LIMIT ?",
        (*(value for found in wanted for value in found.params), size + 1),
    )
    more = len(rows) > size
    return Page(rows[:size], place.token(request, rows[size - 1][position]) if more else "")


def _list_id(request: Paged) -> int:
    """What tells one list from another: the request without its place and size."""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.page_size, bare.page_token = 0, ""
    return zlib.crc32(bare.SerializeToString(deterministic=True))
