"""Evidence for a rule, bar by bar: the flags of a span, packed and unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.events.v1 import pattern_pb2
from ratchet.patterns.bar_times import Times

Flags: TypeAlias = NDArray[np.bool_]


class EvidenceBars(NamedTuple):
    """Tested bars, each array of shape (n,): bar time, label time, whether the rule fired, whether the label was 1.

    Times are epoch seconds UTC.
    """

    times: Times
    label_times: Times
    fired: Flags
    outcomes: Flags

    @classmethod
    def none(cls) -> EvidenceBars:
        nothing, never = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        return cls(nothing, nothing, never, never)

    @classmethod
    def concatenated(cls, parts: Sequence[EvidenceBars]) -> EvidenceBars:
        """The bars of all parts in their order."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else cls.none()


def encode(first_row: int, fired: Flags, outcomes: Flags) -> pattern_pb2.EvidenceSpan:
    """The span of n traded bars from `first_row` of a snapshot on; `fired` and `outcomes` are bool[n].

    InvalidInput for n = 0 and for flags of different length.
    """
    if len(fired) != len(outcomes):
        raise _refused(f"{len(fired)} bars with {len(outcomes)} outcomes; each bar has one", "different lengths")
    if not len(fired):
        raise _refused("a span of 0 bars; it needs at least one", "no bars")
    return pattern_pb2.EvidenceSpan(
        first_row=first_row,
        bars=len(fired),
        fired=np.packbits(fired, bitorder="little").tobytes(),
        outcomes=np.packbits(outcomes, bitorder="little").tobytes(),
    )


def flags(span: pattern_pb2.EvidenceSpan) -> tuple[Flags, Flags]:
    """`fired` and `outcomes` of a span, bool[bars] each; InvalidInput if `encode` can't have made them."""
    if span.bars < 1:
        raise _refused(f"a span of {span.bars} bars; it needs at least one", "no bars")
    return _bits("fired", span.fired, span.bars), _bits("outcomes", span.outcomes, span.bars)


def _bits(name: str, packed: bytes, bars: int) -> Flags:
    if len(packed) != (bars + 7) // 8:
        raise _refused(f"{len(packed)} bytes of {name}; {bars} bars take {(bars + 7) // 8}", "wrong length")
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little").astype(bool)
    if bits[bars:].any():
        raise _refused(f"bits of {name} beyond its {bars} bars; the spare bits are 0", "spare bits set")
    return bits[:bars]


def _refused(problem: str, field: str) -> InvalidInput:
    return InvalidInput(f"evidence has {problem}", fields={"evidence": field})
