"""Bar-by-bar evidence for a rule, packed: sent by the trainer, read by knowledge.

A span holds n consecutive tested bars with the bar times of n + horizon bars, because the label of bar i is known at
bar i + horizon. Times are epoch seconds UTC, stored as differences; the bits are packed least significant first.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.events.v1 import pattern_pb2
from ratchet.timestamps import FIRST_SECOND, LAST_SECOND

Times: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


class EvidenceBars(NamedTuple):
    """Tested bars, each array of shape (n,): bar time, label time, whether the rule fired, whether the label was 1."""

    times: Times
    label_times: Times
    fired: Flags
    outcomes: Flags


def encode(times: Times, fired: Flags, outcomes: Flags) -> pattern_pb2.EvidenceSpan:
    """One span: `times` int64[n + horizon] strictly increasing, `fired` and `outcomes` bool[n].

    InvalidInput when n = 0, the lengths do not fit together or the times do not increase.
    """
    if len(fired) != len(outcomes):
        raise InvalidInput(
            f"evidence of {len(fired)} bars with {len(outcomes)} outcomes: each bar needs one",
            fields={"evidence": "columns of different length"},
        )
    steps = [int(time) for time in times[:1]] + np.diff(times).tolist()
    _check(len(fired), steps)
    return pattern_pb2.EvidenceSpan(
        times=steps,
        fired=np.packbits(np.asarray(fired, dtype=bool), bitorder="little").tobytes(),
        outcomes=np.packbits(np.asarray(outcomes, dtype=bool), bitorder="little").tobytes(),
        bars=len(fired),
    )


def decode(span: pattern_pb2.EvidenceSpan) -> EvidenceBars:
    """The bars of one span; InvalidInput for an invalid span."""
    bars, steps = span.bars, list(span.times)
    _check(bars, steps)
    times = np.cumsum(steps, dtype=np.int64)
    return EvidenceBars(
        times[:bars],
        times[len(steps) - bars :],
        _bits("fired", span.fired, bars),
        _bits("outcomes", span.outcomes, bars),
    )


def decode_all(evidence: pattern_pb2.BarEvidence) -> EvidenceBars:
    """The bars of all spans, concatenated in the order of the message; empty arrays without spans."""
    parts = [decode(span) for span in evidence.spans]
    if not parts:
        nothing, never = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        return EvidenceBars(nothing, nothing, never, never)
    return EvidenceBars(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.label_times for part in parts]),
        np.concatenate([part.fired for part in parts]),
        np.concatenate([part.outcomes for part in parts]),
    )


def _check(bars: int, steps: list[int]) -> None:
    """`steps`: the first time, then the differences."""
    if bars < 1:
        raise InvalidInput(f"a span of {bars} bars; it needs at least one bar", fields={"evidence": "no bars"})
    if len(steps) <= bars:
        raise InvalidInput(
            f"evidence of {bars} bars with {len(steps)} times: a span also names the bars at which its last labels"
            f" were known, so bars + horizon times are needed",
            fields={"evidence": "too few times"},
        )
    if min(steps[1:]) < 1:
        raise InvalidInput("the bar times of evidence must strictly increase", fields={"evidence": "unsorted times"})
    if steps[0] < FIRST_SECOND or sum(steps) > LAST_SECOND:
        raise InvalidInput(
            f"evidence from {steps[0]} to {sum(steps)}: bar times are epoch seconds of the years 1 to 9999",
            fields={"evidence": "times out of range"},
        )


def _bits(name: str, packed: bytes, bars: int) -> Flags:
    if len(packed) != (bars + 7) // 8:
        raise InvalidInput(
            f"{name} has {len(packed)} bytes; {bars} bars take {(bars + 7) // 8}", fields={"evidence": "wrong length"}
        )
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little").astype(bool)
    if bits[bars:].any():
        raise InvalidInput(f"{name} has bits beyond its {bars} bars", fields={"evidence": "spare bits set"})
    return bits[:bars]
