"""Regime-relative and HAR columns: log ratios of range, |return|, volume and volatility to their trailing median.

The HAR columns average the log ratios over 1, 2, 5, 10, 22 and 66 bars. Source: Corsi 2009 (heterogeneous
autoregression). A median is known from half of its window of 250 bars on, so that all columns are known after the
warm-up. A ratio below _FLOOR counts as _FLOOR: a bar without range, move or volume is far below its past, not unknown.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.features.feature import Column, Feature, Kind
from ratchet.scoring.features.phrases import amount

_WINDOW = 250
_KNOWN = 125
_FLOOR = 0.01
HAR_WINDOWS = (1, 2, 5, 10, 22, 66)
"""Bars over which a log ratio is averaged."""
_VOLATILITY_WINDOWS = (5, 10, 20, 60)


def _regime(values: Floats) -> Floats:
    return np.log(np.maximum(values / trailing.median(values, _WINDOW, _KNOWN), _FLOOR))


def relative_range(bars: Bars) -> Floats:
    """(high − low) / close, float64[n]."""
    return (bars.high - bars.low) / bars.close


def _move(bars: Bars) -> Floats:
    return np.abs(trailing.log_returns(bars.close))


def _har(name: str, kind: Kind, values: Callable[[Bars], Floats]) -> Feature:
    """The log ratio of each bar, and its means over the longer of HAR_WINDOWS (over the known part of those bars)."""

    def compute(bars: Bars) -> tuple[Floats, ...]:
        ratio = _regime(values(bars))
        return ratio, *(trailing.mean(ratio, window, 1) for window in HAR_WINDOWS[1:])

    last = Column(f"{name}_regime", "times", amount(name, "times"))
    means = (
        Column(f"{name}_regime_{window}", "times", amount(f"{window}-bar average {name}", "times"))
        for window in HAR_WINDOWS[1:]
    )
    return Feature((last, *means), kind, compute)


def _volatility(window: int) -> Feature:
    def compute(bars: Bars) -> tuple[Floats, ...]:
        volatility = trailing.realised_volatility(bars.close, window)
        return volatility, _regime(volatility)

    words = f"{window}-bar volatility"
    plain = Column(f"volatility_{window}", "percent", amount(words, "percent"))
    against = Column(f"volatility_regime_{window}", "times", amount(words, "times"))
    return Feature((plain, against), "level", compute)


HAR: tuple[Feature, ...] = (
    _har("range", "level", relative_range),
    _har("move", "level", _move),
    _har("volume", "volume", lambda bars: bars.volume),
)

FEATURES: tuple[Feature, ...] = (*HAR, *(_volatility(window) for window in _VOLATILITY_WINDOWS))
