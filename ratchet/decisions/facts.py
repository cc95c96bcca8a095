"""A fact of a stream, as the folds of the decisions read it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from google.protobuf.message import Message


class RecordedFact(Protocol):
    """`version`: in its stream; `actor` and `recorded_at` may be unknown."""

    @property
    def stream(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def message(self) -> Message: ...

    @property
    def actor(self) -> str: ...

    @property
    def recorded_at(self) -> datetime | None: ...
