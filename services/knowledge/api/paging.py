"""Page tokens of lists.

A token holds the log position of the first page, so that all pages show the same position, and the id of its list, so
that it is refused for another list.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ratchet.errors import InvalidInput
from ratchet.knowledge.v1 import knowledge_pb2

DEFAULT_SIZE, LARGEST_SIZE = 100, 1000

_TOKEN = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,10})")

Item = TypeVar("Item")
ListRequest: TypeAlias = knowledge_pb2.ListPatternsRequest | knowledge_pb2.ListFeatureHistoryRequest


@dataclass(frozen=True)
class Page:
    """Start of a page: item `offset` of a list as of log position `position`; None: the first page."""

    list_id: int
    offset: int = 0
    position: int | None = None

    @classmethod
    def of(cls, request: ListRequest) -> Page:
        """The requested page; InvalidInput for a text that is not a token of this list."""
        list_id = _list_id(request)
        if not request.page_token:
            return cls(list_id)
        try:
            found = _TOKEN.fullmatch(base64.urlsafe_b64decode(request.page_token.encode()).decode())
        except (binascii.Error, UnicodeError):
            found = None
        if not found:
            raise InvalidInput(
                f"{request.page_token!r} is not a page token; send next_page_token of the page before, or none",
                fields={"page_token": "not a token"},
            )
        if int(found[3]) != list_id:
            raise InvalidInput(
                "page_token is of another list; send with it the same request as for the page before, or no token",
                fields={"page_token": "not of this list"},
            )
        return cls(list_id, int(found[2]), int(found[1]))

    def cut(self, items: Sequence[Item], position: int, size: int) -> tuple[Sequence[Item], str]:
        """The items of this page as of `position`, and the token of the next page; empty on the last page."""
        if not 0 <= size <= LARGEST_SIZE:
            raise InvalidInput(
                f"page_size {size} is out of range; use 1 to {LARGEST_SIZE}", fields={"page_size": "range"}
            )
        end = self.offset + (size or DEFAULT_SIZE)
        token = base64.urlsafe_b64encode(f"{position}.{end}.{self.list_id}".encode()).decode()
        return items[self.offset : end], token if end < len(items) else ""


def _list_id(request: ListRequest) -> int:
    """A checksum of the request without page token, page size and min_position."""
    bare = type(request)()
    bare.MergeFromString(request.SerializeToString())
    bare.page_token, bare.page_size, bare.min_position = "", 0, 0
    return zlib.crc32(bare.SerializeToString(deterministic=True))
