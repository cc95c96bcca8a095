"""Scores of probability forecasts, each with an interval. Smaller Brier is better, larger accuracy and AUC are better.

An interval that can't be estimated (too few bars, no variance) has the limits nan. A window with fewer than CLASS_ROWS
bars of either class is degenerate: every metric on it is nan. Sources: Brier 1950; Wilson 1927; DeLong, DeLong &
Clarke-Pearson 1988 (structural components of the AUC), their variance made robust to autocorrelation after Newey & West
1987.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ratchet.errors import InvalidInput
from ratchet.statistics.arrays import Flags, Floats, floats, outcomes, probabilities, same_length
from ratchet.statistics.diebold_mariano import corrected_standard_error
from ratchet.statistics.hac import long_run_variance, newey_west_lags
from ratchet.statistics.special import normal_ppf, student_t_ppf

CONFIDENCE = 0.95
CLASS_ROWS = 20
"""A window with fewer bars of either class is degenerate."""

_ROUNDING = 1e-12
"""Forecasts closer than this are in no order."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence limits, 95 % by default."""

    value: float
    low: float
    high: float

    def excludes(self, number: float) -> bool:
        """Whether `number` lies outside the limits; an interval that is not estimable excludes nothing."""
        return number < self.low or number > self.high

    def scaled(self, factor: float) -> Interval:
        """Value and limits times `factor`, which is positive."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


UNDEFINED = Interval(math.nan, math.nan, math.nan)
"""The value of an undefined metric."""


def defined(y: Flags | Floats) -> bool:
    """Whether metrics are defined on outcomes `y`, shape (n,): at least CLASS_ROWS bars of each class."""
    return minority_count(y) >= CLASS_ROWS


def minority_count(y: Flags | Floats) -> int:
    """The number of bars of the rarer class among outcomes `y`, shape (n,)."""
    ones = int(np.count_nonzero(y))
    return min(ones, len(y) - ones)


def same_ranking(p_a: Floats, p_b: Floats) -> bool:
    """Whether two forecasts, shape (n,), rank the bars alike up to ties: no two bars stand in opposite order.

    This holds after any recalibration of one model, rounded or clipped. Differences below 1e-12 are ties. A constant
    forecast has no ranking and matches no other.
    """
    if any(float(np.ptp(p)) <= _ROUNDING for p in (p_a, p_b)):
        return False
    order = np.argsort(p_a, kind="stable")
    first, second = p_a[order], p_b[order]
    lower = np.searchsorted(first, first - _ROUNDING, "left")
    highest = np.concatenate(([-np.inf], np.maximum.accumulate(second)))[lower]
    return bool((highest <= second + _ROUNDING).all())


def brier(p: ArrayLike, y: ArrayLike) -> float:
    """Mean squared error of probabilities `p` for outcomes `y`, both shape (n,); nan without bars."""
    forecast, outcome = _columns(p, y)
    return float(((forecast - outcome) ** 2).mean()) if len(forecast) else math.nan


def accuracy(p: ArrayLike, y: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The share of correct forecasts (`p` > .5 equals `y`), both shape (n,), with its Wilson interval."""
    forecast, outcome = _columns(p, y)
    return wilson(int(((forecast > 0.5) == outcome).sum()), len(forecast), confidence)


def wilson(hits: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """A share of `n` trials with Wilson's interval; counts may be fractions (effective sizes).

    Without trials the value is nan and the limits are 0 and 1. InvalidInput unless 0 <= hits <= n.
    """
    if not 0 <= hits <= n < math.inf:
        raise InvalidInput(f"{hits} hits of {n}: hits must lie between 0 and the number of trials")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0)
    z2 = normal_ppf(0.5 + confidence / 2) ** 2
    share = hits / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def mean_difference(d: ArrayLike, horizon: int, confidence: float = CONFIDENCE) -> Interval:
    """The mean of paired differences `d`, shape (n,), with the interval of the Diebold-Mariano test.

    Same variance, same correction, same Student's t: the 90 % interval lies above 0 exactly when the p is below .05.
    The value is nan without bars. InvalidInput when horizon < 1.
    """
    differences = floats("d", d)
    error = corrected_standard_error(differences, horizon)
    value = float(differences.mean()) if len(differences) else math.nan
    if math.isnan(error):
        return Interval(value, math.nan, math.nan)
    half = student_t_ppf(0.5 + confidence / 2, len(differences) - 1) * error
    return Interval(value, value - half, value + half)


def auc(p: ArrayLike, y: ArrayLike) -> float:
    """P(a bar with outcome 1 got the larger `p`), ties counting half; nan when `y` has one class."""
    return _ranking(*_columns(p, y))[0]


def auc_interval(p: ArrayLike, y: ArrayLike, horizon: int = 1, confidence: float = CONFIDENCE) -> Interval:
    """The AUC with its interval, within 0 and 1; DeLong's for independent bars, HAC otherwise.

    nan if `y` is degenerate.
    """
    forecast, outcome = _columns(p, y)
    if not defined(outcome):
        return UNDEFINED
    value, influence = _ranking(forecast, outcome)
    interval = _ranking_interval(value, influence, horizon, confidence)
    return Interval(value, _clipped(interval.low, 0.0), _clipped(interval.high, 0.0))


def auc_difference(
    p_a: ArrayLike, p_b: ArrayLike, y: ArrayLike, horizon: int = 1, confidence: float = CONFIDENCE
) -> Interval:
    """AUC of `p_b` minus AUC of `p_a` on the same outcomes, with its paired interval, within -1 and 1.

    Exactly 0, without limits, if both rank alike up to ties (`same_ranking`). nan if `y` is degenerate.
    """
    forecast_a, outcome = _columns(p_a, y)
    forecast_b, _ = _columns(p_b, y)
    if not defined(outcome):
        return UNDEFINED
    if same_ranking(forecast_a, forecast_b):
        return Interval(0.0, math.nan, math.nan)
    value_a, influence_a = _ranking(forecast_a, outcome)
    value_b, influence_b = _ranking(forecast_b, outcome)
    value = value_b - value_a
    interval = _ranking_interval(value, influence_b - influence_a, horizon, confidence)
    return Interval(value, _clipped(interval.low, -1.0), _clipped(interval.high, -1.0))


def _columns(p: ArrayLike, y: ArrayLike) -> tuple[Floats, Flags]:
    forecast, outcome = probabilities("p", p), outcomes("y", y)
    same_length(p=forecast, y=outcome)
    return forecast, outcome


def _placement(values: Floats, among: Floats) -> Floats:
    """The share of `among` that is below each of `values`, equals counting half; the shape of `values`."""
    ordered = np.sort(among)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + up_to) / (2.0 * len(among))


def _ranking(p: Floats, y: Flags) -> tuple[float, Floats]:
    """The AUC and each bar's influence on it, shape (n,): AUC's error is their mean to first order.

    The influence of a positive is its placement among the negatives less the AUC, over the share of positives;
    likewise for a negative. With one class both are nan.
    """
    n, positives = len(p), int(y.sum())
    negatives = n - positives
    if positives == 0 or negatives == 0:
        return math.nan, np.full(n, math.nan)
    placement = np.empty(n)
    placement[y] = _placement(p[y], p[~y])
    placement[~y] = 1.0 - _placement(p[~y], p[y])
    value = float(placement[y].mean())
    return value, (placement - value) * np.where(y, n / positives, n / negatives)


def _ranking_interval(value: float, influence: Floats, horizon: int, confidence: float) -> Interval:
    n = len(influence)
    variance = long_run_variance(influence, max(horizon - 1, newey_west_lags(n)))
    if variance <= 0.0:
        return Interval(value, math.nan, math.nan)
    half = normal_ppf(0.5 + confidence / 2) * math.sqrt(variance / n)
    return Interval(value, value - half, value + half)


def _clipped(limit: float, lowest: float) -> float:
    """`limit` within [lowest, 1]; nan stays nan."""
    return limit if math.isnan(limit) else min(1.0, max(lowest, limit))
