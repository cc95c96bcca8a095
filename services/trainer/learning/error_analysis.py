"""Error analysis of the parent on bars that it had not seen, before this session's holdout."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.models.port import Floats
from ratchet.statistics.scores import mean_difference
from services.trainer.learning.outcome import ErrorSlice

Bools = NDArray[np.bool_]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BUCKETS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
VOLATILITY, VOLUME = "volatility_regime_20", "volume_regime_22"
REGIMES = (VOLATILITY, VOLUME)


def analyse(
    p: Floats, y: Floats, times: NDArray[np.int64], regimes: dict[str, Floats], horizon: int
) -> tuple[ErrorSlice, ...]:
    """The bias (outcome less probability) in each nonempty slice, with its HAC interval.

    Slices: probability bucket, weekday (`times` are the market's local time), and each of `regimes`: values [n] are log
    ratios to the usual; above 0 is high, the rest, unknown included, is usual.
    """
    return tuple(
        ErrorSlice(by, name, int(np.sum(inside)), mean_difference((y - p)[inside], horizon))
        for by, name, inside in (("all", "all", np.ones(len(p), dtype=np.bool_)), *slices(p, times, regimes))
        if inside.any()
    )


def slices(p: Floats, times: NDArray[np.int64], regimes: dict[str, Floats]) -> Iterator[tuple[str, str, Bools]]:
    """Yields dimension, name and mask of each slice, bool[n]."""
    yield from _by_probability(p)
    yield from _by_weekday(times)
    yield from _by_regime(regimes)


def _by_probability(p: Floats) -> Iterator[tuple[str, str, Bools]]:
    bucket = np.clip(np.searchsorted(BUCKETS, p, side="right") - 1, 0, len(BUCKETS) - 2)
    for index, (low, high) in enumerate(pairwise(BUCKETS)):
        yield "probability", f"{low:.1f}-{high:.1f}", bucket == index


def _by_weekday(times: NDArray[np.int64]) -> Iterator[tuple[str, str, Bools]]:
    weekday = np.array([datetime.fromtimestamp(int(time), UTC).weekday() for time in times], dtype=np.int64)
    for index, name in enumerate(WEEKDAYS):
        yield "weekday", name, weekday == index


def _by_regime(regimes: dict[str, Floats]) -> Iterator[tuple[str, str, Bools]]:
    for name, values in regimes.items():
        high = values > 0.0
        yield name, "high", high
        yield name, "usual", ~high
