"""Trailing statistics of a column: the value at t uses the values at t−window+1 … t and nothing later.

All take and return float64[n]; a value is NaN with fewer than `known` (default: all) known values in its window.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ratchet.scoring.data.bars import Floats


def mean(values: Floats, window: int, known: int | None = None) -> Floats:
    return np.asarray(pd.Series(values).rolling(window, min_periods=known).mean(), np.float64)


def median(values: Floats, window: int, known: int | None = None) -> Floats:
    return np.asarray(pd.Series(values).rolling(window, min_periods=known).median(), np.float64)


def change(values: Floats, bars: int) -> Floats:
    """values[t] − values[t−bars]."""
    return values - lag(values, bars)


def lag(values: Floats, bars: int) -> Floats:
    """values[t−bars]; NaN for the first bars."""
    moved = np.full(len(values), np.nan)
    moved[bars:] = values[: max(len(values) - bars, 0)]
    return moved


def log_returns(close: Floats) -> Floats:
    """log(close[t] / close[t−1]); NaN for the first bar."""
    return change(np.log(close), 1)


def realised_volatility(close: Floats, window: int) -> Floats:
    """The root mean square of the last `window` log returns: a zero-mean volatility, defined for a window of 1 too."""
    return np.sqrt(mean(log_returns(close) ** 2, window))
