"""Baselines with periodic refits: har, ridge, boosting, har-level.

A refit on all labelled bars (at most the newest MAX_ROWS) follows each growth of their number by max(REFIT_EVERY, 2 %),
and forecasts the bars from its last label time up to the next refit. A process caches its last fits by the digest of
their bars.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.data.bars import COLUMNS, Bars, Floats
from ratchet.scoring.models.port import sigmoid
from ratchet.scoring.targets import usable_rows
from ratchet.statistics.scores import defined

FIRST = 250
"""Labelled bars before the first fit."""
REFIT_EVERY = 63
GROWTH = 0.02
MAX_ROWS = 20_000
CLIP = 6.0

HAR_PENALTY, RIDGE_PENALTY = 0.05, 0.002
"""Inverse penalties of the logistic regressions on standardised columns."""

_BOOSTING = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_bin": 32,
    "eta": 0.1,
    "max_depth": 3,
    "colsample_bynode": 0.1,
    "subsample": 0.7,
    "min_child_weight": 4,
    "lambda": 5.0,
    "nthread": 1,
    "seed": 0,
    "verbosity": 0,
}
_ROUNDS, _PATIENCE, _STOPPING_SHARE = 300, 15, 0.15
_CACHE_SIZE = 1024

Rows: TypeAlias = NDArray[np.int64]
Predict: TypeAlias = Callable[[Floats], Floats]
"""Probabilities float64[m] of features float64[m, k]."""
Fit: TypeAlias = Callable[[Floats, Floats, int], Predict]
"""Fits features float64[m, k] to outcomes float64[m] at a horizon."""


def har(X: Floats, y: Floats, horizon: int) -> Predict:  # noqa: ARG001
    """A logistic regression on the HAR columns."""
    return _logistic(X, y, HAR_PENALTY)


def ridge(X: Floats, y: Floats, horizon: int) -> Predict:  # noqa: ARG001
    """A logistic regression with a strong ridge on all library features."""
    return _logistic(X, y, RIDGE_PENALTY)


def boosting(X: Floats, y: Floats, horizon: int) -> Predict:
    """Histogram gradient boosting on all library features; rounds stop early on the newest rows, purged."""
    import xgboost as xgb

    cut = int((1.0 - _STOPPING_SHARE) * len(y))
    training = xgb.DMatrix(X[: cut - horizon], y[: cut - horizon], nthread=1)
    stopping = xgb.DMatrix(X[cut:], y[cut:], nthread=1)
    booster = xgb.train(
        _BOOSTING,
        training,
        _ROUNDS,
        evals=[(stopping, "stop")],
        early_stopping_rounds=_PATIENCE,
        verbose_eval=False,
    )
    rounds = booster.best_iteration + 1
    return lambda features: np.asarray(booster.inplace_predict(features, iteration_range=(0, rounds)), np.float64)


def level(X: Floats, u: Floats, horizon: int) -> Predict:  # noqa: ARG001
    """Least squares of `u`, float64[m], on the HAR columns; P(u > 0) from the distribution of the residuals."""
    scaled, scale = _standardised(X)
    design = np.column_stack([scaled, np.ones(len(scaled))])
    weights = np.asarray(np.linalg.solve(design.T @ design + 1e-6 * np.eye(design.shape[1]), design.T @ u), np.float64)
    residuals = np.sort(u - design @ weights)

    def answer(features: Floats) -> Floats:
        fitted = _sums(scale(features), weights[:-1]) + weights[-1]
        above = len(residuals) - np.searchsorted(residuals, -fitted, side="right")
        return np.asarray((above + 1.0) / (len(residuals) + 2.0), np.float64)

    return answer


@dataclass(frozen=True, eq=False)
class Refits:
    """The refits of one problem over the known bars: `y` float64[n] are its labels, NaN if unknown."""

    bars: Bars
    y: Floats
    horizon: int
    problem: str

    @cached_property
    def _fits(self) -> tuple[_Refit, ...]:
        return tuple(_refits(self.bars, self.y, self.horizon))

    def probabilities(
        self, name: str, fit: Fit, X: Floats, base_rate: Floats, outcomes: Floats | None = None
    ) -> Floats:
        """The forecast of every bar, float64[n]; `base_rate`, float64[n], before the first fit and for a rare class.

        Args:
            X: features, float64[n, k].
            outcomes: regression target, float64[n], if not the label; bars with NaN are left out.
        """
        fitted = self.y if outcomes is None else outcomes
        p = base_rate.copy()
        for span in self._fits:
            rows = span.rows[np.isfinite(fitted[span.rows])]
            if not defined(self.y[rows]):
                continue
            answer = _FIT_CACHE.get(
                f"{name} {self.problem} {span.digest}",
                lambda rows=rows: fit(X[rows], fitted[rows], self.horizon),  # type: ignore[misc]
            )
            p[span.start : span.stop] = answer(X[span.start : span.stop])
        return p


@dataclass(frozen=True, eq=False)
class _Refit:
    """A refit: its training rows, and the bars `start` … `stop` − 1 of its forecasts.

    `digest`: of the bars up to and including `start`.
    """

    rows: Rows
    start: int
    stop: int
    digest: str


def _refits(bars: Bars, y: Floats, horizon: int) -> Iterator[_Refit]:
    usable = usable_rows(y)
    counts = []
    count = FIRST
    while count <= len(usable):
        counts.append(count)
        count += max(REFIT_EVERY, int(GROWTH * count))
    starts = [int(usable[count - 1]) + horizon for count in counts]
    values = np.column_stack([bars.time, *(getattr(bars, name) for name in COLUMNS)])
    digest, hashed = hashlib.sha256(f"{bars.series} {bars.zone} ".encode()), 0
    for count, start, stop in zip(counts, starts, [*starts, len(y)][1:], strict=True):
        digest.update(values[hashed : start + 1].tobytes())
        hashed = start + 1
        yield _Refit(usable[max(0, count - MAX_ROWS) : count], start, stop, digest.copy().hexdigest())


class _FitCache:
    """LRU cache of fits, by name, problem and digest of their bars."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, Predict] = OrderedDict()

    def get(self, key: str, make: Callable[[], Predict]) -> Predict:
        answer = self._kept.pop(key, None) or make()
        self._kept[key] = answer
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return answer


_FIT_CACHE = _FitCache(_CACHE_SIZE)


def _logistic(X: Floats, y: Floats, inverse_penalty: float) -> Predict:
    from sklearn.linear_model import LogisticRegression

    scaled, scale = _standardised(X)
    regression = LogisticRegression(C=inverse_penalty, max_iter=200, tol=1e-5).fit(scaled, y)
    weights, offset = regression.coef_[0], float(regression.intercept_[0])
    return lambda features: sigmoid(_sums(scale(features), weights) + offset)


def _sums(features: Floats, weights: NDArray[Any]) -> Floats:
    """features · weights, float64[m]: bit for bit independent of the number of rows.

    A matrix product is not, and the memory layout of the features decides the order of einsum's additions.
    """
    sums: Floats = np.einsum("ij,j->i", np.ascontiguousarray(features), weights)
    return sums


def _standardised(X: Floats) -> tuple[Floats, Callable[[Floats], Floats]]:
    """X standardised by its known values, clipped at CLIP, unknown values at the mean; and the same map as a
    function."""
    known = np.isfinite(X)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, X, 0.0).sum(axis=0) / count
    variance = (np.where(known, X - mean, 0.0) ** 2).sum(axis=0) / count
    scale = np.where(variance > 0.0, np.sqrt(variance), 1.0)

    def scaled(features: Floats) -> Floats:
        return np.clip(np.where(np.isfinite(features), (features - mean) / scale, 0.0), -CLIP, CLIP)

    return scaled(X), scaled
