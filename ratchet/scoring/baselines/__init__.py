"""Baselines: simple forecasts for comparison with every model on the same bars, without artifact and lineage.

base-rate     the frequency of label 1 among the labels known at the bar
persistence   its frequency after the last known label
har           a logistic regression on the HAR columns, refitted as labels come in
ridge         the same on all library features, with a strong ridge
boosting      histogram gradient boosting on all library features
online        one Newton step a bar on the HAR columns, mixed with the base rate by their likelihoods
mean          the mean of har, online, ridge and boosting
stack         a Newton step a bar on the log-odds of these four
har-level     target range: least squares on the log range, probability from the residuals

The forecast of a bar uses only labels and features known at that bar, so that every bar is out-of-sample. Volume
columns are inputs even for a series without volume: their unknown values have no effect. All baselines are pure
functions of the bars, recomputable from the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ratchet.scoring import features, targets
from ratchet.scoring.baselines import refitted
from ratchet.scoring.baselines.frequencies import base_rate, persistence
from ratchet.scoring.baselines.newton import RecursiveNewton
from ratchet.scoring.baselines.online import OnlineBaseline
from ratchet.scoring.baselines.refitted import FIRST, Refits
from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats
from ratchet.scoring.features.regime import relative_range
from ratchet.scoring.models.port import logit, sigmoid
from ratchet.scoring.targets.definition import REGIME

BASE_RATE, PERSISTENCE = "base-rate@baseline", "persistence@baseline"
HAR, RIDGE, BOOSTING, ONLINE = "har@baseline", "ridge@baseline", "boosting@baseline", "online@baseline"
MEAN, STACK, HAR_LEVEL = "mean@baseline", "stack@baseline", "har-level@baseline"

_COMBINED = (HAR, ONLINE, RIDGE, BOOSTING)
_STACK_RIDGE = 20.0


def forecasts(bars: Bars, target: str, horizon: int, online: Floats | None = None) -> Mapping[str, Floats]:
    """The probability of label 1 of every bar by each baseline, float64[n].

    Before WARM_UP bars there is no label, and the forecast is one half; before the first fit it is the base rate.

    Args:
        online: the log-odds of online@baseline, float64[n], if already computed.
    """
    y = targets.labels(target, bars, horizon)
    names = features.for_timeframe(bars)
    X = features.compute(bars, names)
    H = X[:, [names.index(name) for name in features.HAR]]
    rate = base_rate(y, horizon)
    refits = Refits(bars, y, horizon, f"{target}-h{horizon}")
    found = {
        BASE_RATE: rate,
        PERSISTENCE: persistence(y, horizon),
        HAR: refits.probabilities(HAR, refitted.har, H, rate),
        RIDGE: refits.probabilities(RIDGE, refitted.ridge, X, rate),
        BOOSTING: refits.probabilities(BOOSTING, refitted.boosting, X, rate),
        ONLINE: _known(sigmoid(OnlineBaseline.fit(bars, target, horizon).z if online is None else online), rate),
    }
    four = np.column_stack([found[name] for name in _COMBINED])
    found[MEAN] = four.mean(axis=1)
    found[STACK] = _stack(four, y, horizon)
    if target == "range":
        ahead = _level_ahead(bars, horizon)
        found[HAR_LEVEL] = refits.probabilities(HAR_LEVEL, refitted.level, H, rate, ahead)
    return found


def _stack(four: Floats, y: Floats, horizon: int) -> Floats:
    Z = np.column_stack([logit(four), np.ones(len(four))])
    prior = np.array([0.25, 0.25, 0.25, 0.25, 0.0])
    begun = RecursiveNewton.initial(len(prior), _STACK_RIDGE, prior)
    z, _ = begun.run(Z, y, horizon, WARM_UP + FIRST)
    return _known(sigmoid(z), four.mean(axis=1))


def _level_ahead(bars: Bars, horizon: int) -> Floats:
    """log(range of bar t + horizon / its median of the bars up to t), float64[n]: above 0 for label 1.

    NaN if that median is 0: most past bars had a single price.
    """
    spread = relative_range(bars)
    later = np.full(len(bars), np.nan)
    later[: max(len(bars) - horizon, 0)] = spread[horizon:]
    usual = trailing.median(spread, REGIME)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(usual > 0.0, np.log(np.maximum(later / usual, 0.01)), np.nan)


def _known(p: Floats, otherwise: Floats) -> Floats:
    return np.where(np.isnan(p), otherwise, p)
