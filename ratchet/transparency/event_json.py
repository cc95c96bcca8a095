"""Facts as plain data that people and programs read: the form beside the bytes in an export.

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

SHORT_BYTES = 64

Plain = Any


def rfc3339(time: Timestamp) -> str:
    return time.ToJsonString()


def readable(message: Message, written: Callable[[Timestamp], str | None] = rfc3339) -> dict[str, Plain]:
    """The fields of a message by name, but for unset members of a oneof; `written`: how times are."""
    found: dict[str, Plain] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        unset = field.has_presence and not message.HasField(field.name)
        one_of_several = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
        if (isinstance(value, bytes) and len(value) > SHORT_BYTES) or (unset and one_of_several):
            continue
        if field.is_repeated:
            found[field.name] = [_plain(field, item, written) for item in value]
        else:
            found[field.name] = None if unset else _plain(field, value, written)
    return found


def _plain(field: Any, value: Any, written: Callable[[Timestamp], str | None]) -> Plain:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if isinstance(value, Timestamp):
        return written(value)
    return readable(value, written) if isinstance(value, Message) else scalar(value)


def scalar(value: Any) -> Plain:
    """Bytes as hex and what JSON has no number for as its name; anything else as it is."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def agrees(said: Plain, meant: Plain) -> bool:
    """Whether `said` says what `meant` does; a field that one of them lacks must be empty in the other.

    So a form that an older or a newer version wrote still agrees with its bytes.
    """
    if isinstance(said, dict) and isinstance(meant, dict):
        return all(
            agrees(said[name], meant[name])
            if name in said and name in meant
            else _is_empty(said.get(name, meant.get(name)))
            for name in said.keys() | meant.keys()
        )
    if isinstance(said, list) and isinstance(meant, list):
        return len(said) == len(meant) and all(map(agrees, said, meant))
    if isinstance(said, bool) or isinstance(meant, bool):
        return said is meant
    return bool(said == meant)


def _is_empty(value: Plain) -> bool:
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or value in ("", 0, False) or value == []
