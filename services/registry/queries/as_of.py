"""As-of reads: the log position of a request's `as_of`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any

from ratchet.errors import InvalidInput, NotFound
from services.registry.eventlog import Log
from services.registry.eventlog.reading import head_position, position_at

NOW = 2**63 - 1
"""A position after every event."""


@dataclass(frozen=True)
class AsOf:
    """The log as of `position`; 0: before its first event. `text`: as in the request."""

    position: int
    text: str

    def missing(self, what: str) -> NotFound:
        """The error for a thing that did not exist yet."""
        if self.position == 0:
            return NotFound(f"nothing had been recorded as of {self.text}; ask for a later moment", fields=_AS_OF)
        return NotFound(
            f"there was no {what} as of {self.text}; ask for a later moment, or for the present", fields=_AS_OF
        )


def position_of(as_of: AsOf | None) -> int:
    """The position of a read; NOW for the present."""
    return as_of.position if as_of else NOW


_AS_OF = {"as_of": "before that"}


def parse_as_of(log: Log, request: Any) -> AsOf | None:
    """The as-of position of a request; None for the present.

    A time means the last event recorded by then. InvalidInput for a position beyond the log's end.
    """
    point = request.as_of.WhichOneof("point") if request.HasField("as_of") else None
    if point is None:
        return None
    with log.database.read() as reader:
        if point == "time":
            moment = request.as_of.time
            return AsOf(position_at(reader, moment.ToDatetime(tzinfo=UTC)), str(moment.ToJsonString()))
        position, end = request.as_of.position, head_position(reader)
    if not 0 <= position <= end:
        raise InvalidInput(
            f"there is no position {position}; the log ends at {end}: ask for one up to that, or for the present",
            fields={"as_of": "not in the log"},
        )
    return AsOf(position, f"log position {position}")
