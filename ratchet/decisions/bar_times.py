"""Bar times as whole epoch seconds UTC, and back."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.timestamps import FIRST_SECOND

BEGINNING = FIRST_SECOND
"""Before every bar."""


def seconds_of(message: Message, field: str) -> int:
    """The seconds of a Timestamp field, rounded down; BEGINNING if unset."""
    moment: Timestamp = getattr(message, field)
    seconds = moment.seconds
    return seconds if seconds or message.HasField(field) else BEGINNING


def timestamp(seconds: int) -> Timestamp | None:
    """The Timestamp of `seconds`; None, which leaves a field unset, for BEGINNING."""
    return None if seconds == BEGINNING else Timestamp(seconds=seconds)


def day(seconds: int) -> str:
    """2006-12-29, or 2006-12-29T15:30Z for a time within a day."""
    if seconds == BEGINNING:
        return "the beginning"
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d}" if seconds % 86_400 == 0 else f"{moment:%Y-%m-%dT%H:%MZ}"
