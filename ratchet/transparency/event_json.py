"""Facts as JSON for people and programs, beside the bytes in an export.

Fields keep the contract's names; times are RFC 3339 UTC, enum values their names, integers numbers, unset optional
fields null, unset members of a oneof absent. Short byte strings are hex, long ones (evidence) are left out: the stored
bytes hold them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

MAX_HEX_BYTES = 64

JsonValue = Any


def rfc3339(time: Timestamp) -> str:
    return time.ToJsonString()


def message_to_json(message: Message, format_time: Callable[[Timestamp], str | None] = rfc3339) -> dict[str, JsonValue]:
    """The fields of a message by name, except for unset members of a oneof; `format_time` formats a Timestamp."""
    found: dict[str, JsonValue] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        unset = field.has_presence and not message.HasField(field.name)
        one_of_several = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
        if (isinstance(value, bytes) and len(value) > MAX_HEX_BYTES) or (unset and one_of_several):
            continue
        if field.is_repeated:
            found[field.name] = [_json_value(field, item, format_time) for item in value]
        else:
            found[field.name] = None if unset else _json_value(field, value, format_time)
    return found


def _json_value(field: Any, value: Any, format_time: Callable[[Timestamp], str | None]) -> JsonValue:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if isinstance(value, Timestamp):
        return format_time(value)
    return message_to_json(value, format_time) if isinstance(value, Message) else json_scalar(value)


def json_scalar(value: Any) -> JsonValue:
    """Bytes as hex, NaN and infinities as their names, any other value unchanged."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def json_agrees(actual: JsonValue, expected: JsonValue) -> bool:
    """Whether two JSON values are equal; a field missing from one of them must be empty in the other.

    So the JSON of an older or a newer version still agrees with its bytes.
    """
    if isinstance(actual, dict) and isinstance(expected, dict):
        return all(
            json_agrees(actual[name], expected[name])
            if name in actual and name in expected
            else _is_empty(actual.get(name, expected.get(name)))
            for name in actual.keys() | expected.keys()
        )
    if isinstance(actual, list) and isinstance(expected, list):
        return len(actual) == len(expected) and all(map(json_agrees, actual, expected))
    if isinstance(actual, bool) or isinstance(expected, bool):
        return actual is expected
    return bool(actual == expected)


def _is_empty(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or value in ("", 0, False) or value == []
