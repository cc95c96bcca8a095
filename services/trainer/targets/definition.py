"""How a target is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.trainer.data.bars import Bars, Floats

REGIME = 250
"""Bars of the trailing median that a bar is compared with."""


@dataclass(frozen=True)
class Definition:
    """A target: `outcomes(bars, horizon)` is float64[n] of 1.0, 0.0 or NaN; `up` and `down` say 1 and 0 in words.

    The outcome of bar t uses bars up to and including t + horizon and is NaN for the last `horizon` bars, and
    where the past that it is compared with is too short.
    """

    outcomes: Callable[[Bars, int], Floats]
    up: str
    down: str
