"""Requests that are almost right: fields of accepted ones changed, and their bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import Message

from tests.fuzz.corpus import Corpus

TEXTS = (
    "", " ", "0", "-1", "\x00", "\x7f", "\u202e", "é" * 40, "日本語", "a" * 5000, "../../etc/passwd",
    "' OR 1=1 --", "%", "_", "{}", "%s%n", "AAPL", "AAPL@1h", "A@999w", "AAPL/range/logistic", "range-h0",
    "AAPL/range-h5/logistic/v1",
    "1970-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "2005-02-30", "1e309", "x" * 128, "x" * 257, "f" * 64,
)  # fmt: skip
INTEGERS = (0, 1, 2, 3, 7, 100, 1000, 1001, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**64 - 1)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf)
LIMITS = {
    F.TYPE_INT32: (-(2**31), 2**31 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT64: (0, 2**64 - 1),
}


class Mutator:
    """Draws from a corpus; the same random numbers give the same requests."""

    def __init__(self, corpus: Corpus, random: Random) -> None:
        self._corpus, self._random = corpus, random

    def changed(self, message: Message, changes: int) -> Message:
        """A copy in which so many fields were set, cleared, or changed inside."""
        copy = type(message)()
        copy.CopyFrom(message)
        for _ in range(changes):
            self._change(copy)
        if "request_id" in copy.DESCRIPTOR.fields_by_name and self._random.random() < 0.7:
            copy.request_id = f"{self._random.getrandbits(64):x}"  # type: ignore[attr-defined]
        return copy

    def bytes_of(self, content: bytes) -> bytes:
        """Bytes with some of them changed, removed, put in or doubled; now and then, others altogether."""
        body, random = bytearray(content), self._random
        if random.random() < 0.1:
            return random.randbytes(random.choice((1, 2, 3, 10, 100, 1000)))
        for _ in range(random.choice((1, 1, 2, 4, 16))):
            at = random.randrange(len(body) + 1)
            match random.randrange(5):
                case 0 if body:
                    body[at % len(body)] ^= 1 << random.randrange(8)
                case 1:
                    del body[at : at + random.choice((1, 2, 8, 64))]
                case 2:
                    body[at:at] = random.randbytes(random.choice((1, 2, 8)))
                case 3:
                    body[at:at] = body[: random.choice((4, 32, 256))]
                case 4:
                    body[at:at] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        return bytes(body)

    def pieces(self, messages: Sequence[Message]) -> list[Message]:
        """The messages of a client's stream: some changed, left out, doubled or in another order."""
        random, found = self._random, list(messages)
        if random.random() < 0.5:
            random.shuffle(found)
        if random.random() < 0.5:
            found = random.choices(found, k=random.randrange(6)) if found else []
        return [self.changed(each, 1) if random.random() < 0.3 else each for each in found]

    def _change(self, message: Message) -> None:
        random = self._random
        field = random.choice(message.DESCRIPTOR.fields or [None])
        if field is None:
            return
        if random.random() < 0.1:
            message.ClearField(field.name)
        elif field.is_repeated:
            self._change_list(getattr(message, field.name), field)
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            self._change(inner)
        else:
            setattr(message, field.name, self._value(field, getattr(message, field.name)))

    def _change_list(self, values: Any, field: F) -> None:
        random = self._random
        action = random.randrange(4)
        if action == 0 and values:
            del values[random.randrange(len(values)) :]
        elif action == 1 and values:
            times = random.choice((1, 2, 50, 2000))
            values.extend([values[random.randrange(len(values))]] * (times if len(values) * times < 20_000 else 1))
        elif field.message_type is not None:
            self._change(random.choice(values) if values and action == 2 else values.add())
        else:
            values.append(self._value(field, values[0] if values else None))

    def _value(self, field: F, now: Any) -> Any:
        random = self._random
        if field.type == F.TYPE_STRING:
            known = self._corpus.words.get(field.name)
            return random.choice(known) if known and random.random() < 0.6 else self._text(now)
        if field.type == F.TYPE_BYTES:
            return self.bytes_of(now or b"")
        if field.type == F.TYPE_BOOL:
            return random.random() < 0.5
        if field.type == F.TYPE_ENUM:
            return random.choice((*(value.number for value in field.enum_type.values), 99))
        if field.type in (F.TYPE_DOUBLE, F.TYPE_FLOAT):
            return random.choice((*NUMBERS, (now or 1.0) * 1.5))
        low, high = LIMITS[field.type]
        known_numbers = self._corpus.numbers.get(field.name)
        if known_numbers and random.random() < 0.4:
            return min(max(random.choice(known_numbers), low), high)
        return min(max(random.choice(INTEGERS) * random.choice((1, 1, 1, -1)), low), high)

    def _text(self, now: str | None) -> str:
        random = self._random
        if not now or random.random() < 0.6:
            return random.choice(TEXTS)
        at = random.randrange(len(now))
        edits: tuple[Callable[[], str], ...] = (
            lambda: now[:at],
            lambda: now[:at] + random.choice("/@-. \n'\"%é0") + now[at:],
            lambda: now + now,
            lambda: now.swapcase(),
        )
        return random.choice(edits)()
