"""Page tokens. One names the log position of the first page, so the pages of one list fit together whatever is recorded
between them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ratchet.errors import InvalidInput

DEFAULT_SIZE, LARGEST_SIZE = 100, 1000

_TOKEN = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page:
    """Where a page begins: item `offset` of the list as of log position `position`."""

    position: int
    offset: int = 0

    @classmethod
    def parse(cls, token: str) -> Page:
        """InvalidInput for a text that is not a token of ours."""
        try:
            found = _TOKEN.fullmatch(base64.urlsafe_b64decode(token.encode()).decode())
        except (binascii.Error, UnicodeError):
            found = None
        if not found:
            raise InvalidInput(
                f"{token!r} is not a page token; send next_page_token of the page before, or none",
                fields={"page_token": "not a token"},
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(f"{self.position}.{self.offset}".encode()).decode()

    def cut(self, items: Sequence[Item], size: int) -> tuple[Sequence[Item], str]:
        """The items of this page, and the token of the next one; empty when this is the last."""
        if not 0 <= size <= LARGEST_SIZE:
            raise InvalidInput(
                f"page_size {size} is out of range; use 1 to {LARGEST_SIZE}", fields={"page_size": "range"}
            )
        end = self.offset + (size or DEFAULT_SIZE)
        following = str(Page(self.position, end)) if end < len(items) else ""
        return items[self.offset : end], following
