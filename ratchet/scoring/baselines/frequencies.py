"""base-rate@baseline and persistence@baseline: frequencies of the labels known at each bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import WARM_UP, Floats
from ratchet.statistics.scores import CLASS_ROWS


def base_rate(y: Floats, horizon: int) -> Floats:
    """The frequency of label 1 among the usable labels known at each bar, float64[n], smoothed by Laplace's rule."""
    ones, count = _known_before(y, np.isfinite(y), horizon)
    return (ones + 1.0) / (count + 2.0)


def persistence(y: Floats, horizon: int) -> Floats:
    """The frequency of label 1 after the last known label, float64[n]: persistence, calibrated.

    The base rate without a known label, or with fewer than CLASS_ROWS known labels of a class.
    """
    last = trailing.lag(y, horizon)
    p = rate = base_rate(y, horizon)
    all_ones, all_count = _known_before(y, np.isfinite(y), horizon)
    defined = np.minimum(all_ones, all_count - all_ones) >= CLASS_ROWS
    for value in (0.0, 1.0):
        ones, count = _known_before(y, np.isfinite(y) & (last == value), horizon)
        p = np.where(defined & (last == value), (ones + 1.0) / (count + 2.0), p)
    return np.where(np.isnan(last), rate, p)


def _known_before(y: Floats, counted: NDArray[np.bool_], horizon: int) -> tuple[Floats, Floats]:
    """Among the `counted` labels after the warm-up that are known at each bar: the ones, and all of them."""
    counted = counted.copy()
    counted[:WARM_UP] = False
    ones = np.cumsum(np.where(counted, np.nan_to_num(y), 0.0))
    count = np.cumsum(counted.astype(np.float64))
    earlier = (trailing.lag(total, horizon) for total in (ones, count))
    known_ones, known = (np.nan_to_num(total) for total in earlier)
    return known_ones, known
