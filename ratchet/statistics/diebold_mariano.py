"""The Diebold-Mariano test of equal predictive accuracy, with the small-sample correction.

Sources: Diebold & Mariano 1995; Harvey, Leybourne & Newbold 1997 (equations 8 and 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ratchet.errors import InvalidInput
from ratchet.statistics.arrays import Floats
from ratchet.statistics.hac import forecast_variance
from ratchet.statistics.special import student_t_sf

MIN_BARS = 8


@dataclass(frozen=True)
class DmResult:
    """`statistic` is positive when the contender is better; `p` is one-sided, small when it is better."""

    statistic: float
    p: float


def corrected_standard_error(d: Floats, horizon: int) -> float:
    """The standard error of mean d with the HLN correction; nan if it can't be estimated.

    It can't with fewer bars than max(8, 2 * horizon), or if all d are equal. InvalidInput when horizon < 1.
    """
    if horizon < 1:
        raise InvalidInput(f"horizon is {horizon} bars; use 1 or more", fields={"horizon": "out of range"})
    n = len(d)
    if n < max(MIN_BARS, 2 * horizon):
        return math.nan
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    error = math.sqrt(forecast_variance(d, horizon) / n / correction)
    return error if error > 0.0 else math.nan


def diebold_mariano(d: Floats, horizon: int) -> DmResult:
    """Tests that the contender is better: H0 mean d <= 0, Student's t with n - 1 degrees of freedom.

    `d`, shape (n,): the champion's loss minus the contender's on each scored bar, in time order. Without a standard
    error the result is statistic 0 and p 1. InvalidInput when horizon < 1.
    """
    error = corrected_standard_error(d, horizon)
    if math.isnan(error):
        return DmResult(0.0, 1.0)
    statistic = float(d.mean()) / error
    return DmResult(statistic, student_t_sf(statistic, len(d) - 1))
