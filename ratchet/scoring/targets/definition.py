"""Declaration of a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ratchet.scoring.data.bars import Bars, Floats

REGIME = 250
"""Bars of the trailing median in the comparison."""


@dataclass(frozen=True)
class TargetDefinition:
    """A target: `outcomes(bars, horizon)` is float64[n] of 1.0, 0.0 or NaN; `up` and `down` are the words for 1 and 0.

    `question(horizon)`: the event of a probability, in words. The outcome of bar t uses bars up to and including t +
    horizon and is NaN for the last `horizon` bars, and with too short a past.
    """

    outcomes: Callable[[Bars, int], Floats]
    up: str
    down: str
    question: Callable[[int], str]


def the_bar(horizon: int) -> str:
    """Bar t + horizon, seen from bar t."""
    return "the next bar" if horizon == 1 else f"the bar {horizon} ahead"


def the_bars(horizon: int) -> str:
    """Bars t + 1 … t + horizon, seen from bar t."""
    return "the next bar" if horizon == 1 else f"the next {horizon} bars"
