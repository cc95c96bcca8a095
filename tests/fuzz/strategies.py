"""Any message of a class, as hypothesis draws it from the descriptor: every field there or not, of any value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

DEEPEST = 4

_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_NUMBERS: Mapping[int, st.SearchStrategy[Any]] = {
    F.TYPE_BYTES: st.binary(max_size=30),
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_DOUBLE: st.floats(),
    F.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    F.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    F.TYPE_UINT32: st.integers(0, 2**32 - 1),
    F.TYPE_UINT64: st.integers(0, 2**64 - 1),
}


def messages(kind: type[Message], words: Mapping[str, Sequence[str]]) -> st.SearchStrategy[Message]:
    """Messages of a class; texts are any, or `words` that were seen in a field of that name."""
    return _fields(kind.DESCRIPTOR, words, DEEPEST).map(lambda fields: kind(**fields))


def drawn(
    kind: type[Message], words: Mapping[str, Sequence[str]], count: int, number: int, act: Callable[[Message], None]
) -> None:
    """`act` on at most so many messages of a class, the same ones for the same number."""

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(message=messages(kind, words))
    def each(message: Message) -> None:
        act(message)

    each()


def _fields(kind: Descriptor, words: Mapping[str, Sequence[str]], depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict(_strategies(kind, words, depth)))


def _strategies(
    kind: Descriptor, words: Mapping[str, Sequence[str]], depth: int
) -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    """One field of each oneof: a message can hold no more."""
    chosen = {oneof.fields[0].name for oneof in kind.oneofs}
    for field in kind.fields:
        if field.containing_oneof is not None and field.name not in chosen:
            continue
        if field.message_type is None:
            value = _scalar(field, words)
        elif depth:
            inner = GetMessageClass(field.message_type)
            value = _fields(field.message_type, words, depth - 1).map(lambda fields, inner=inner: inner(**fields))
        else:
            continue
        yield field.name, st.lists(value, max_size=3) if field.is_repeated else value


def _scalar(field: F, words: Mapping[str, Sequence[str]]) -> st.SearchStrategy[Any]:
    if field.type == F.TYPE_STRING:
        known = words.get(field.name)
        return st.one_of(st.sampled_from(known), _TEXT) if known else _TEXT
    if field.type == F.TYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values] + [99])
    return _NUMBERS[field.type]
