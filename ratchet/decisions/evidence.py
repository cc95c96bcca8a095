"""The evidence of a decision: the forecasts of both models and the outcomes, as bytes inside the decision event.

    offset            bytes         content (all little-endian)
    0                 4             magic "RPE1"
    4                 4             n, uint32
    8                 8 n           the champion's probabilities, float64
    8 + 8n            8 n           the contender's probabilities, float64
    8 + 16n           ceil(n / 8)   outcomes, one bit a bar, lowest bit first, unused bits 0
    … + ceil(n / 8)   8 n           bar times, int64 epoch seconds UTC, strictly increasing

The encoding of a pair is unique: `pack` inverts `unpack`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ratchet.errors import InvalidInput
from ratchet.statistics.arrays import Flags, Floats, Times, bar_times, outcomes, probabilities, same_length

MAGIC = b"RPE1"

_HEADER = struct.Struct("<4sI")


@dataclass(frozen=True, eq=False)
class PairedForecasts:
    """Forecasts of champion A and contender B on the same n scored bars, oldest first; every array has shape (n,).

    `p_a`, `p_b`: probabilities that the outcome is 1; `y`: the outcomes; `times`: bar times, epoch seconds UTC.
    """

    p_a: Floats
    p_b: Floats
    y: Flags
    times: Times

    @classmethod
    def of(cls, p_a: ArrayLike, p_b: ArrayLike, y: ArrayLike, times: ArrayLike) -> PairedForecasts:
        """A checked pair; InvalidInput names the column, the bar and the violated rule."""
        pair = cls(probabilities("p_a", p_a), probabilities("p_b", p_b), outcomes("y", y), bar_times("times", times))
        same_length(p_a=pair.p_a, p_b=pair.p_b, y=pair.y, times=pair.times)
        return pair

    def __len__(self) -> int:
        return len(self.p_a)


def pack(p_a: ArrayLike, p_b: ArrayLike, y: ArrayLike, times: ArrayLike) -> bytes:
    """The bytes of a pair: roughly 8 + 24.125 n. InvalidInput as `PairedForecasts.of`."""
    pair = PairedForecasts.of(p_a, p_b, y, times)
    return b"".join(
        (
            _HEADER.pack(MAGIC, len(pair)),
            pair.p_a.astype("<f8").tobytes(),
            pair.p_b.astype("<f8").tobytes(),
            np.packbits(pair.y, bitorder="little").tobytes(),
            pair.times.astype("<i8").tobytes(),
        )
    )


def unpack(data: bytes) -> PairedForecasts:
    """The pair in `data`; InvalidInput for a wrong magic, length, padding or value."""
    if len(data) < _HEADER.size:
        raise InvalidInput(f"evidence of {len(data)} bytes; the header alone has {_HEADER.size}")
    magic, n = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise InvalidInput(f"evidence begins with {magic!r}; {MAGIC!r} expected")
    bit_bytes = (n + 7) // 8
    size = _HEADER.size + 24 * n + bit_bytes
    if len(data) != size:
        raise InvalidInput(f"evidence of {n} bars has {len(data)} bytes; exactly {size} expected")
    bits_at = _HEADER.size + 16 * n
    bits = np.unpackbits(np.frombuffer(data, np.uint8, bit_bytes, bits_at), bitorder="little")
    if bits[n:].any():
        raise InvalidInput(f"evidence of {n} bars has outcome bits set after the last bar; they must be 0")
    return PairedForecasts(
        probabilities("p_a", np.frombuffer(data, "<f8", n, _HEADER.size).astype(np.float64)),
        probabilities("p_b", np.frombuffer(data, "<f8", n, _HEADER.size + 8 * n).astype(np.float64)),
        bits[:n].astype(np.bool_),
        bar_times("times", np.frombuffer(data, "<i8", n, bits_at + bit_bytes).astype(np.int64)),
    )
