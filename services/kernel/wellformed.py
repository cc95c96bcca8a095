"""Values that protobuf can carry and that nobody can keep or read: refused whatever field of a request they are in."""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import InvalidInput
from ratchet.timestamps import FIRST_SECOND, LAST_SECOND

LONGEST_TEXT = 4096
"""Characters of any one text. Names have shorter limits of their own, where they are parsed."""


def require_wellformed(request: Message, path: str = "") -> None:
    """InvalidInput, with the field, for a text that is too long or holds NUL, a time outside of the years 1 to 9999,
    and a number that stands for nothing in its enum."""
    for field in _looked_at(request.DESCRIPTOR):
        value = getattr(request, field.name)
        if field.is_repeated:
            parts = value
        elif field.message_type is None or request.HasField(field.name):
            parts = (value,)
        else:
            continue
        name = f"{path}.{field.name}" if path else field.name
        for part in parts:
            if field.enum_type is not None:
                _require_known(name, part, field.enum_type)
            elif isinstance(part, str):
                _require_text(name, part)
            elif isinstance(part, Timestamp):
                _require_time(name, part)
            else:
                require_wellformed(part, name)


@cache
def _looked_at(kind: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields of a message that may hold what is not well formed: not those of numbers, bytes, true and false."""
    texts = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_ENUM)
    return tuple(field for field in kind.fields if field.message_type is not None or field.type in texts)


def _require_text(name: str, text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise InvalidInput(
            f"{name} has {len(text)} characters, {LONGEST_TEXT} at most; say it in fewer", fields={name: "too long"}
        )
    if "\0" in text:
        raise InvalidInput(f"{name} holds the character NUL; leave it out", fields={name: "NUL"})


def _require_known(name: str, number: int, kind: EnumDescriptor) -> None:
    if number not in kind.values_by_number:
        words = ", ".join(value.name for value in kind.values)
        raise InvalidInput(f"{name} is {number}, which is no {kind.name}; use one of {words}", fields={name: "unknown"})


def _require_time(name: str, moment: Timestamp) -> None:
    if not (FIRST_SECOND <= moment.seconds <= LAST_SECOND and 0 <= moment.nanos < 10**9):
        raise InvalidInput(
            f"{name} is not a time: {moment.seconds} s and {moment.nanos} ns; send seconds and nanos of a moment in the"
            " years 1 to 9999",
            fields={name: "not a time"},
        )
