"""Comparison of a future value with a current threshold."""

from __future__ import annotations

import numpy as np

from ratchet.scoring.data.bars import Floats


def future_above(values: Floats, line: Floats, horizon: int) -> Floats:
    """1.0 if values[t + horizon] > line[t], else 0.0; NaN if either is unknown. All float64[n]."""
    known = max(len(values) - horizon, 0)
    later = np.full(len(values), np.nan)
    later[:known] = values[horizon:]
    return np.where(np.isnan(later) | np.isnan(line), np.nan, later > line)
