"""Strict reader of XGBoost's UBJSON: XGBoost's own reader runs past the end of damaged bytes.

Lengths are int64, keys unmarked, arrays counted; nothing else is accepted. Source: ubjson.org, and json.cc of XGBoost.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import CorruptData

Array: TypeAlias = "NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.int32] | NDArray[np.int64]"
Node: TypeAlias = "dict[str, Node] | list[Node] | Array | str | int"

_DEEPEST = 16
_TYPED = {b"d": ">f4", b"U": "u1", b"l": ">i4", b"L": ">i8"}
_WHOLE = {b"i": 1, b"I": 2, b"l": 4, b"L": 8}


def read(content: bytes) -> Node:
    """The value of these bytes; CorruptData for malformed bytes.

    An array of one type is a NumPy array (float32, uint8, int32, int64), any other a list.
    """
    reader = _Reader(content)
    value = reader.value(0)
    if reader.left:
        raise CorruptData(f"{reader.left} bytes follow the end of the model; fetch the artifact again")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._content) - self._at

    def value(self, depth: int) -> Node:
        marker = self._take(1)
        if depth > _DEEPEST:
            raise CorruptData(f"the model nests deeper than {_DEEPEST}; fetch the artifact again")
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker == b"S":
            return self._text()
        if marker in _WHOLE:
            return int.from_bytes(self._take(_WHOLE[marker]), "big", signed=True)
        raise self._unknown(marker)

    def _object(self, depth: int) -> Node:
        entries: dict[str, Node] = {}
        while self._content[self._at : self._at + 1] != b"}":
            key = self._text()
            if key in entries:
                raise CorruptData(f"the model says {key[:40]!r} twice; fetch the artifact again")
            entries[key] = self.value(depth + 1)
        self._take(1)
        return entries

    def _array(self, depth: int) -> Node:
        marker = self._take(1)
        if marker == b"#":
            return [self.value(depth + 1) for _ in range(self._length())]
        kind = self._take(1)
        if marker != b"$" or kind not in _TYPED or self._take(1) != b"#":
            raise self._unknown(marker + kind)
        dtype = np.dtype(_TYPED[kind])
        values: Array = np.frombuffer(self._take(self._length() * dtype.itemsize), dtype).astype(
            dtype.newbyteorder("=")
        )
        return values

    def _text(self) -> str:
        try:
            return self._take(self._length()).decode()
        except UnicodeDecodeError as error:
            raise CorruptData("the model holds text that is not UTF-8; fetch the artifact again") from error

    def _length(self) -> int:
        if self._take(1) != b"L":
            raise CorruptData(f"byte {self._at} of the model should begin a length; fetch the artifact again")
        length = int.from_bytes(self._take(8), "big", signed=True)
        if not 0 <= length <= self.left:
            raise CorruptData(f"a part of {length} in a model with {self.left} bytes left; fetch the artifact again")
        return length

    def _take(self, count: int) -> bytes:
        if count > self.left:
            raise CorruptData(f"the model ends {count - self.left} bytes early; fetch the artifact again")
        self._at += count
        return self._content[self._at - count : self._at]

    def _unknown(self, marker: bytes) -> CorruptData:
        return CorruptData(f"byte {self._at} of the model has the unknown type {marker!r}; fetch the artifact again")
