"""The differences of a recorded fact from the one that follows, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_LONGEST = 80


def differences(recorded: Message, follows: Message) -> Iterator[str]:
    """A sentence for each field in which two messages of one type differ; none for equal ones."""
    if recorded == follows:
        return
    for field in recorded.DESCRIPTOR.fields:
        stored, right = _value(recorded, field), _value(follows, field)
        if stored != right:
            yield f"its {field.name} is {_text(stored, field)}; {_text(right, field)} follows"


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.has_presence and not message.HasField(field.name):
        return None
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else value


def _text(value: Any, field: Any) -> str:
    if value in (None, "", []):
        return "none"
    if isinstance(value, list):
        return ", ".join(_text(each, field) for each in value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return str(known.name) if known else f"no {field.enum_type.name} ({value})"
    text = value.ToJsonString() if isinstance(value, Timestamp) else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
