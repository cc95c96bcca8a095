"""Is a better forecast more skilled, or only better calibrated? Refit both heads on the same bars and compare again.

A head is p' = sigmoid(slope logit(p) + offset). It repairs a model that is too sure, not sure enough or off to one
side, and can't change the order of its forecasts. Every bar before the scored ones is known to one of the two models,
so both heads are fitted on the first half of the scored bars and compared on the rest: what is left there is skill.
Sums have a fixed order and nothing here calls BLAS: same bytes on the same machine, same numbers to the last bit.
Source: Platt 1999, with a ridge towards the head as it is (slope 1, offset 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ratchet.proof.arrays import Flags, Floats
from ratchet.proof.evalue import loss_difference
from ratchet.proof.scores import Interval, mean_difference

MIN_BARS = 60
RIDGE_BARS = 2.0
"""How many bars the ridge is worth: bars that say that the model is right as it is."""

_MAX_LOGIT = 14.0
_MAX_STEPS = 100
_SETTLED = 1e-7
_LEAST_SPREAD = 1e-12


@dataclass(frozen=True)
class Head:
    slope: float
    offset: float

    def __call__(self, z: Floats) -> Floats:
        """Probabilities for log-odds `z`, both shape (n,)."""
        p: Floats = 1.0 / (1.0 + np.exp(-(self.slope * z + self.offset)))
        return p


def log_odds(p: Floats) -> Floats:
    """logit(p), shape (n,), within -14 and 14: a probability closer to 0 or 1 than one in a million is read as that."""
    with np.errstate(divide="ignore"):
        z = np.log(p) - np.log1p(-p)
    within: Floats = np.minimum(np.maximum(z, -_MAX_LOGIT), _MAX_LOGIT)
    return within


def fit_head(z: Floats, y: Flags) -> Head:
    """The head with the least ridge log loss of outcomes `y` at log-odds `z`, both shape (n,), n > 0.

    The ridge is k/8 (m (slope - 1)^2 + offset^2) with k = RIDGE_BARS and m the mean of z^2. Newton's method: the loss
    is strictly convex, and a step that would raise it is halved.
    """
    offset_ridge = 0.25 * RIDGE_BARS
    slope_ridge = offset_ridge * max(float((z * z).sum()) / len(z), _LEAST_SPREAD)
    outcome = y.astype(np.float64)
    slope, offset, slope_step, offset_step, least = 1.0, 0.0, 0.0, 0.0, math.inf
    for _ in range(_MAX_STEPS):
        moved, turned = slope + slope_step, offset + offset_step
        margin = moved * z + turned
        small = np.exp(-np.abs(margin))
        whole = 1.0 + small
        loss = float((np.log(whole) + np.maximum(margin, 0.0) - outcome * margin).sum())
        loss += 0.5 * (slope_ridge * (moved - 1.0) ** 2 + offset_ridge * turned**2)
        if loss > least:
            slope_step, offset_step = 0.5 * slope_step, 0.5 * offset_step
        else:
            slope, offset, least = moved, turned, loss
            error = np.where(margin >= 0.0, 1.0, small) / whole - outcome
            weight = small / (whole * whole)
            weighted = weight * z
            slope_gradient = float((error * z).sum()) + slope_ridge * (slope - 1.0)
            offset_gradient = float(error.sum()) + offset_ridge * offset
            slope_slope = float((weighted * z).sum()) + slope_ridge
            slope_offset = float(weighted.sum())
            offset_offset = float(weight.sum()) + offset_ridge
            determinant = slope_slope * offset_offset - slope_offset * slope_offset
            slope_step = (slope_offset * offset_gradient - offset_offset * slope_gradient) / determinant
            offset_step = (slope_offset * slope_gradient - slope_slope * offset_gradient) / determinant
        if abs(slope_step) + abs(offset_step) < _SETTLED:
            break
    return Head(slope, offset)


def refitted_difference(p_a: Floats, p_b: Floats, y: Flags, horizon: int) -> Interval:
    """The mean of A's less B's squared error after both heads were refitted, with its interval; positive: B is better.

    `p_a`, `p_b`: probabilities of champion and contender, shape (n,); `y`: outcomes, shape (n,); in time order. The
    fit sees the first half without its last `horizon` bars, whose outcomes come later, and the rest is compared. With
    fewer than 60 bars in either part, or one class in the first, all three numbers are nan.
    """
    start = len(y) // 2
    known = start - horizon
    if known < MIN_BARS or len(y) - start < MIN_BARS or not 0 < int(y[:known].sum()) < known:
        return Interval(math.nan, math.nan, math.nan)
    refitted = []
    for p in (p_a, p_b):
        z = log_odds(p)
        refitted.append(fit_head(z[:known], y[:known])(z[start:]))
    return mean_difference(loss_difference(refitted[0], refitted[1], y[start:]), horizon)
