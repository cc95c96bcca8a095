"""Validation of values that protobuf can carry and Ratchet can't store, in any field of a request."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import InvalidInput
from ratchet.timestamps import FIRST_SECOND, LAST_SECOND

LONGEST_TEXT = 4096
"""Characters of any one text. Names have shorter limits, checked by their parsers."""


def require_wellformed(request: Message, path: str = "") -> None:
    """InvalidInput, with the field, for a value that Ratchet can't store.

    These are texts that are too long or hold NUL, times outside of the years 1 to 9999, and unknown enum numbers.
    """
    for field in _checked_fields(request.DESCRIPTOR):
        name = f"{path}.{field.name}" if path else field.name
        if field.is_repeated:
            for part in getattr(request, field.name):
                field.require(part, name)
        elif not field.is_message or request.HasField(field.name):
            field.require(getattr(request, field.name), name)


class _Field(NamedTuple):
    """A field that needs validation; `require` takes its value and its path."""

    name: str
    is_repeated: bool
    is_message: bool
    require: Callable[[Any, str], None]


@cache
def _checked_fields(kind: Descriptor) -> tuple[_Field, ...]:
    """The fields of a message except numbers, bytes and booleans."""
    return tuple(
        _Field(field.name, field.is_repeated, field.message_type is not None, require)
        for field in kind.fields
        if (require := _rule(field)) is not None
    )


def _rule(field: FieldDescriptor) -> Callable[[Any, str], None] | None:
    if field.message_type == Timestamp.DESCRIPTOR:
        return _require_time
    if field.message_type is not None:
        return require_wellformed
    if field.enum_type is not None:
        return partial(_require_known, field.enum_type)
    return _require_text if field.type == FieldDescriptor.TYPE_STRING else None


def _require_text(text: str, name: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise InvalidInput(
            f"{name} has {len(text)} characters, {LONGEST_TEXT} at most; say it in fewer", fields={name: "too long"}
        )
    if "\0" in text:
        raise InvalidInput(f"{name} holds the character NUL; leave it out", fields={name: "NUL"})


def _require_known(kind: EnumDescriptor, number: int, name: str) -> None:
    if number not in kind.values_by_number:
        words = ", ".join(value.name for value in kind.values)
        raise InvalidInput(f"{name} is {number}, which is no {kind.name}; use one of {words}", fields={name: "unknown"})


def _require_time(moment: Timestamp, name: str) -> None:
    if not (FIRST_SECOND <= moment.seconds <= LAST_SECOND and 0 <= moment.nanos < 10**9):
        raise InvalidInput(
            f"{name} is not a time: {moment.seconds} s and {moment.nanos} ns; send seconds and nanos of a moment in the"
            " years 1 to 9999",
            fields={name: "not a time"},
        )
