"""online@baseline: a logistic regression on the HAR columns that takes one Newton step a bar.

A Bayesian mixture with the base rate, as on a series without signal a regression fits noise. On 12 such series the
mixture took the Brier score from .2545, 400 labels in, to .2500; on nine real series, range and volatility at three
dates each, it changed nothing (.2001 and .2060). A learned slope did as much for noise, but cost .0003 on volatility.

Its forecast of a bar uses only labels known at that bar, so that it is out of sample for every bar, training rows too:
models may start from its log-odds. A fold over the bars: recomputable by anyone from the snapshot, and carried on from
its state when bars are added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ratchet.scoring import features, targets
from ratchet.scoring.baselines.frequencies import base_rate
from ratchet.scoring.baselines.newton import Newton
from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats
from ratchet.scoring.models.port import logit, sigmoid

RIDGE = 20.0
CLIP = 6.0
"""Standard deviations at which inputs are clipped."""


@dataclass(frozen=True, eq=False)
class Fold:
    """The log-odds of label 1 of all `bars`, `z` float64[n], NaN before the warm-up ends."""

    bars: Bars
    target: str
    horizon: int
    z: Floats
    _regression: Floats
    _moments: Moments
    _newton: Newton

    @classmethod
    def over(cls, bars: Bars, target: str, horizon: int) -> Fold:
        """The fold over all bars; it takes some 10 µs a bar."""
        width, none = len(features.HAR), np.empty(0)
        newton = Newton.begin(width + 1, RIDGE)
        return cls(bars.head(0), target, horizon, none, none, Moments.none(width), newton).carried_on(bars)

    def carried_on(self, bars: Bars) -> Fold:
        """The fold over `bars`, which begin with the bars of this one; only the later ones cost a Newton step."""
        known, columns = len(self.bars), features.compute(bars, features.HAR)
        y = targets.labels(self.target, bars, self.horizon)
        Z, moments = self._moments.standardised(columns[known:])
        later, newton = self._newton.over(Z, y, self.horizon, WARM_UP)
        regression = np.concatenate([self._regression, later])
        z = bayesian_mixture(regression, logit(base_rate(y, self.horizon)), y, self.horizon)
        return replace(self, bars=bars, z=z, _regression=regression, _moments=moments, _newton=newton)

    def log_odds(self, bars: Bars) -> Floats:
        """Those of `bars`, float64[m]: from this fold as far as they are its bars, else folded anew."""
        common = min(len(bars), len(self.bars))
        if not np.array_equal(bars.time[:common], self.bars.time[:common]):
            return Fold.over(bars, self.target, self.horizon).z
        return self.z[:common] if common == len(bars) else self.carried_on(bars).z


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, sum and sum of squares of the known values of each column so far, float64[k] each."""

    count: Floats
    total: Floats
    squares: Floats

    @classmethod
    def none(cls, width: int) -> Moments:
        return cls(np.zeros(width), np.zeros(width), np.zeros(width))

    def standardised(self, columns: Floats) -> tuple[Floats, Moments]:
        """Each value by the mean and deviation of its column up to its bar, clipped, and a column of ones.

        float64[n, k + 1]. An unknown value counts as the mean.
        """
        if len(columns) == 0:
            return np.empty((0, columns.shape[1] + 1)), self
        known = np.isfinite(columns)
        values = np.where(known, columns, 0.0)
        count = _running(self.count, known)
        total, squares = _running(self.total, values), _running(self.squares, values * values)
        mean = total / np.maximum(count, 1.0)
        variance = squares / np.maximum(count, 1.0) - mean * mean
        Z = np.where(known, (values - mean) / np.sqrt(np.maximum(variance, 1e-12)), 0.0)
        Z = np.column_stack([np.clip(Z, -CLIP, CLIP), np.ones(len(Z))])
        return Z, Moments(count[-1], total[-1], squares[-1])


def bayesian_mixture(z: Floats, other: Floats, y: Floats, horizon: int) -> Floats:
    """The log-odds of a mixture of two forecasters of log-odds z and `other`, float64[n], NaN where z is.

    The weight of each is its likelihood of the labels known at the bar; as labels overlap, the log-likelihood counts
    1 / horizon. y: float64[n], NaN where unknown. Source: Hoeting et al. 1999, Bayesian model averaging.
    """
    unknown, counted = np.isnan(z), np.isfinite(y) & np.isfinite(z)
    z = np.where(unknown, other, z)
    ahead = np.logaddexp(0.0, other) - np.logaddexp(0.0, z) + np.nan_to_num(y) * (z - other)
    lead = np.nan_to_num(trailing.before(np.cumsum(np.where(counted, ahead, 0.0)), horizon)) / horizon
    weight = sigmoid(lead)
    return np.where(unknown, np.nan, logit(weight * sigmoid(z) + (1.0 - weight) * sigmoid(other)))


def _running(begun: Floats, values: Floats) -> Floats:
    """Running sums that go on from `begun`: added one after the other, so that a cut changes no bit."""
    sums: Floats = np.cumsum(np.concatenate([begun[None], values]), axis=0)[1:]
    return sums
