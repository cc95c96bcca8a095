"""Facts as plain data that people and programs read: the form beside the bytes in an export.

Fields keep the contract's names, all of them; times are RFC 3339 UTC, enum values their names, integers numbers, unset
optional fields null. Short byte strings are hex, long ones (evidence) are left out: the stored bytes hold them.
"""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

SHORT_BYTES = 64

Plain = Any


def readable(message: Message) -> dict[str, Plain]:
    """The fields of a message by name."""
    found: dict[str, Plain] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if isinstance(value, bytes) and len(value) > SHORT_BYTES:
            continue
        if field.is_repeated:
            found[field.name] = [_plain(field, item) for item in value]
        elif field.has_presence and not message.HasField(field.name):
            found[field.name] = None
        else:
            found[field.name] = _plain(field, value)
    return found


def _plain(field: Any, value: Any) -> Plain:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return readable(value)
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
