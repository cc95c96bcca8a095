"""Values that protobuf can carry and nobody can read: refused at the edge, whatever field they are in."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import InvalidInput


def require_times(request: Message) -> None:
    """InvalidInput, with the field, for a Timestamp outside of the years 1 to 9999."""
    for field, moment in _timestamps(request, ""):
        try:
            moment.ToJsonString()
        except ValueError as error:
            raise InvalidInput(
                f"{field} is not a time: {error}; send seconds and nanos of a moment in the years 1 to 9999",
                fields={field: "not a time"},
            ) from error


def _timestamps(message: Message, path: str) -> Iterator[tuple[str, Timestamp]]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        name = f"{path}.{field.name}" if path else field.name
        for part in value if field.is_repeated else (value,):
            if isinstance(part, Timestamp):
                yield name, part
            else:
                yield from _timestamps(part, name)
