"""Pages of lists, by position: oldest first, stable while new events arrive."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ratchet.errors import InvalidInput
from services.registry.log import Log
from services.registry.log.database import SqlValue

DEFAULT_SIZE = 100
LARGEST_SIZE = 1000

ListRequest = TypeVar("ListRequest", bound="Paged")


class Paged(Protocol):
    """A list request."""

    page_size: int
    page_token: str

    def CopyFrom(self, other: Any, /) -> None: ...

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


@dataclass(frozen=True)
class Page:
    """Rows with a position, and the token of the next page; empty on the last."""

    rows: Sequence[dict[str, Any]]
    next_token: str


def select(log: Log, table: str, request: Paged, conditions: dict[str, SqlValue], position: str = "position") -> Page:
    """The page of `table` that `request` asks for, where each column of `conditions` that has a value equals it.

    InvalidInput for a page size out of range, or a token of another list.
    """
    if not 0 <= request.page_size <= LARGEST_SIZE:
        raise InvalidInput(
            f"page_size {request.page_size} is out of range; use 1 to {LARGEST_SIZE}, or 0 for {DEFAULT_SIZE}",
            fields={"page_size": "out of range"},
        )
    size = request.page_size or DEFAULT_SIZE
    wanted = {column: value for column, value in conditions.items() if value not in (None, "")}
    where = " AND ".join([f"{position} > ?", *(f"{column} = ?" for column in wanted)])
    rows = log.query(
        f"SELECT * FROM {table} WHERE {where} ORDER BY {position} LIMIT ?",
        (_after(request), *wanted.values(), size + 1),
    )
    more = len(rows) > size
    return Page(rows[:size], _token(request, rows[size - 1][position]) if more else "")


def _list_id(request: Paged) -> int:
    """What tells one list from another: the request without its place and size."""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.page_size, bare.page_token = 0, ""
    return zlib.crc32(bare.SerializeToString(deterministic=True))


def _token(request: Paged, position: int) -> str:
    return base64.urlsafe_b64encode(f"{position}.{_list_id(request)}".encode()).decode()


def _after(request: Paged) -> int:
    if not request.page_token:
        return 0
    try:
        position, _, list_id = base64.urlsafe_b64decode(request.page_token).decode().partition(".")
        if int(list_id) == _list_id(request):
            return int(position)
    except (binascii.Error, ValueError):
        pass
    raise InvalidInput(
        "page_token is not of this list; send the next_page_token of the answer before, and the same request",
        fields={"page_token": "not of this list"},
    )
