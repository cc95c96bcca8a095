"""Bar times, run-length coded: a year of daily bars takes some 250 bytes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.events.v1 import rows_pb2
from ratchet.timestamps import FIRST_SECOND, LAST_SECOND

Times: TypeAlias = NDArray[np.int64]

MAX_ROWS = 1 << 26
"""Largest number of rows of a snapshot: half a gigabyte of times."""


def encode_times(times: Times) -> rows_pb2.BarTimes:
    """The canonical form of `times`, int64[n], n >= 1, epoch seconds, strictly increasing."""
    steps = np.diff(times)
    if not len(steps):
        return rows_pb2.BarTimes(first=int(times[0]))
    unit = int(np.gcd.reduce(steps))
    begins = np.flatnonzero(np.concatenate([[True], steps[1:] != steps[:-1]]))
    counts = np.diff(begins, append=len(steps))
    return rows_pb2.BarTimes(
        first=int(times[0]), unit=unit, steps=(steps[begins] // unit).tolist(), counts=counts.tolist()
    )


def decode_times(message: rows_pb2.BarTimes) -> Times:
    """int64[n]: the times of a message that `check_times` accepts."""
    steps = np.repeat(np.array(message.steps, dtype=np.int64) * message.unit, message.counts)
    return np.cumsum(np.concatenate([[message.first], steps]), dtype=np.int64)


def common_rows(times: Times, others: Times) -> int:
    """The number of leading rows with the same times."""
    rows = min(len(times), len(others))
    differs = times[:rows] != others[:rows]
    return int(np.argmax(differs)) if differs.any() else rows


def check_times(message: rows_pb2.BarTimes) -> tuple[int, int]:
    """The number of times and the last of them, without unpacking; InvalidInput for a form that is not canonical."""
    steps, counts = list(message.steps), list(message.counts)
    if len(steps) != len(counts):
        raise _refused(f"{len(steps)} steps with {len(counts)} counts; each step has its count", "steps and counts")
    if min(steps, default=1) < 1:
        raise _refused(f"a step of {min(steps)}; times strictly increase", "step below 1")
    if min(counts, default=1) < 1:
        raise _refused(f"a count of {min(counts)}; a step is taken at least once", "count below 1")
    if message.unit < 0 or math.gcd(*steps) * message.unit != message.unit or bool(steps) != bool(message.unit):
        raise _refused(f"unit {message.unit}; it is the greatest common divisor of the differences", "unit")
    if any(step == following for step, following in pairwise(steps)):
        raise _refused("the same step twice in succession; add their counts", "runs not maximal")
    last = message.first + message.unit * sum(step * count for step, count in zip(steps, counts, strict=True))
    if message.first < FIRST_SECOND or last > LAST_SECOND:
        raise _refused(f"times from {message.first} to {last}; they lie in the years 1 to 9999", "out of range")
    return 1 + sum(counts), last


def _refused(problem: str, field: str) -> InvalidInput:
    return InvalidInput(f"the bar times of a data set have {problem}", fields={"dataset.times": field})
