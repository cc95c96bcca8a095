"""Which point of the past a request asks about, as a position of the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any

from ratchet.errors import InvalidInput, NotFound
from services.registry.eventlog import Log
from services.registry.eventlog.reading import head_position, position_at


@dataclass(frozen=True)
class Past:
    """The log as it was when it ended at `position`; 0: before its first event. `words`: as it was asked for."""

    position: int
    words: str

    def missing(self, what: str) -> NotFound:
        """The error for what was not there yet."""
        if self.position == 0:
            return NotFound(f"nothing had been recorded as of {self.words}; ask for a later moment", fields=_AS_OF)
        return NotFound(
            f"there was no {what} as of {self.words}; ask for a later moment, or for the present", fields=_AS_OF
        )


_AS_OF = {"as_of": "before that"}


def past_of(log: Log, request: Any) -> Past | None:
    """The point that the `as_of` of a request names; None for the present.

    A time means the last event that was recorded by then. InvalidInput for a position that the log has not reached.
    """
    point = request.as_of.WhichOneof("point") if request.HasField("as_of") else None
    if point is None:
        return None
    with log.database.read() as reader:
        if point == "time":
            moment = request.as_of.time
            return Past(position_at(reader, moment.ToDatetime(tzinfo=UTC)), str(moment.ToJsonString()))
        position, end = request.as_of.position, head_position(reader)
    if not 0 <= position <= end:
        raise InvalidInput(
            f"there is no position {position}; the log ends at {end}: ask for one up to that, or for the present",
            fields={"as_of": "not in the log"},
        )
    return Past(position, f"log position {position}")
