"""How a bar stands against its own recent past: log ratios to the trailing 250-bar median.

A median is known from half of its window on, so that all columns are known after the warm-up. A ratio below
_FLOOR counts as _FLOOR: a bar without range, move or volume is far below its past, not unknown.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from services.trainer.data import trailing
from services.trainer.data.bars import Bars, Floats
from services.trainer.features.feature import Column, Feature, Kind
from services.trainer.features.phrases import amount

_WINDOW = 250
_KNOWN = 125
_FLOOR = 0.01
_SHORT, _MID = 5, 20
_VOLATILITY_WINDOWS = (5, 10, 20, 60)


def _regime(values: Floats) -> Floats:
    return np.log(np.maximum(values / trailing.median(values, _WINDOW, _KNOWN), _FLOOR))


def _range(bars: Bars) -> Floats:
    return (bars.high - bars.low) / bars.close


def _move(bars: Bars) -> Floats:
    return np.abs(trailing.log_returns(bars.close))


def _against_past(name: str, kind: Kind, values: Callable[[Bars], Floats]) -> Feature:
    """The log ratio, and its means over the short and the middle past (over the known part of those bars)."""

    def compute(bars: Bars) -> tuple[Floats, ...]:
        ratio = _regime(values(bars))
        return ratio, trailing.mean(ratio, _SHORT, 1), trailing.mean(ratio, _MID, 1)

    last = Column(f"{name}_regime", "times", amount(name, "times"))
    means = (Column(f"{name}_regime_{n}", "times", amount(f"{n}-bar average {name}", "times")) for n in (_SHORT, _MID))
    return Feature((last, *means), kind, compute)


def _volatility(window: int) -> Feature:
    def compute(bars: Bars) -> tuple[Floats, ...]:
        volatility = trailing.realised_volatility(bars.close, window)
        return volatility, _regime(volatility)

    words = f"{window}-bar volatility"
    plain = Column(f"volatility_{window}", "percent", amount(words, "percent"))
    against = Column(f"volatility_regime_{window}", "times", amount(words, "times"))
    return Feature((plain, against), "level", compute)


FEATURES: tuple[Feature, ...] = (
    _against_past("range", "level", _range),
    _against_past("move", "level", _move),
    _against_past("volume", "volume", lambda bars: bars.volume),
    *(_volatility(window) for window in _VOLATILITY_WINDOWS),
)
