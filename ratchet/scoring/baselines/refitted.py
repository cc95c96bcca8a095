"""Baselines that are fitted anew as labels come in: har, ridge, boosting, har-level.

Each is fitted on all labelled bars (at most the newest MOST_ROWS) whenever their number has grown by max(EVERY, 2 %),
and forecasts the bars from the one on which its last label became known up to the next fit. A process keeps its last
fits: one of bars that are the same is not made twice.
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
EVERY = 63
GROWTH = 0.02
MOST_ROWS = 20_000
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
_KEPT = 1024

Rows: TypeAlias = NDArray[np.int64]
Answer: TypeAlias = Callable[[Floats], Floats]
"""Probabilities float64[m] of features float64[m, k]."""
Fit: TypeAlias = Callable[[Floats, Floats, int], Answer]
"""Fits features float64[m, k] to outcomes float64[m] at a horizon."""


def har(X: Floats, y: Floats, horizon: int) -> Answer:  # noqa: ARG001
    """A logistic regression on the HAR columns."""
    return _logistic(X, y, HAR_PENALTY)


def ridge(X: Floats, y: Floats, horizon: int) -> Answer:  # noqa: ARG001
    """A logistic regression with a strong ridge on all library features."""
    return _logistic(X, y, RIDGE_PENALTY)


def boosting(X: Floats, y: Floats, horizon: int) -> Answer:
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


def level(X: Floats, u: Floats, horizon: int) -> Answer:  # noqa: ARG001
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
    """The fits of one problem over the bars that are known: `y` float64[n] are its labels, NaN where unknown."""

    bars: Bars
    y: Floats
    horizon: int
    problem: str

    @cached_property
    def _fits(self) -> tuple[_Span, ...]:
        return tuple(_spans(self.bars, self.y, self.horizon))

    def probabilities(
        self, name: str, fit: Fit, X: Floats, base_rate: Floats, outcomes: Floats | None = None
    ) -> Floats:
        """The forecast of every bar, float64[n]; `base_rate`, float64[n], before the first fit and for a rare class.

        Args:
            X: features, float64[n, k].
            outcomes: what is fitted, float64[n], where it is not the label; bars where it is NaN are left out.
        """
        fitted = self.y if outcomes is None else outcomes
        p = base_rate.copy()
        for span in self._fits:
            rows = span.rows[np.isfinite(fitted[span.rows])]
            if not defined(self.y[rows]):
                continue
            answer = _FITS.get(
                f"{name} {self.problem} {span.digest}",
                lambda rows=rows: fit(X[rows], fitted[rows], self.horizon),  # type: ignore[misc]
            )
            p[span.start : span.stop] = answer(X[span.start : span.stop])
        return p


@dataclass(frozen=True, eq=False)
class _Span:
    """A fit: the rows that it learns from, and the bars `start` … `stop` − 1 that it forecasts.

    `digest`: of the bars up to and including `start`.
    """

    rows: Rows
    start: int
    stop: int
    digest: str


def _spans(bars: Bars, y: Floats, horizon: int) -> Iterator[_Span]:
    usable = usable_rows(y)
    counts = []
    count = FIRST
    while count <= len(usable):
        counts.append(count)
        count += max(EVERY, int(GROWTH * count))
    starts = [int(usable[count - 1]) + horizon for count in counts]
    values = np.column_stack([bars.time, *(getattr(bars, name) for name in COLUMNS)])
    digest, hashed = hashlib.sha256(f"{bars.series} {bars.zone} ".encode()), 0
    for count, start, stop in zip(counts, starts, [*starts, len(y)][1:], strict=True):
        digest.update(values[hashed : start + 1].tobytes())
        hashed = start + 1
        yield _Span(usable[max(0, count - MOST_ROWS) : count], start, stop, digest.copy().hexdigest())


class _Fits:
    """The last fits of this process, by name, problem and digest of the bars that they know."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, Answer] = OrderedDict()

    def get(self, key: str, make: Callable[[], Answer]) -> Answer:
        answer = self._kept.pop(key, None) or make()
        self._kept[key] = answer
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return answer


_FITS = _Fits(_KEPT)


def _logistic(X: Floats, y: Floats, inverse_penalty: float) -> Answer:
    from sklearn.linear_model import LogisticRegression

    scaled, scale = _standardised(X)
    regression = LogisticRegression(C=inverse_penalty, max_iter=200, tol=1e-5).fit(scaled, y)
    weights, offset = regression.coef_[0], float(regression.intercept_[0])
    return lambda features: sigmoid(_sums(scale(features), weights) + offset)


def _sums(features: Floats, weights: NDArray[Any]) -> Floats:
    """features · weights, float64[m]: the same to the bit however many rows are asked for at once.

    A matrix product is not, and the layout of the features in memory decides the order in which einsum adds.
    """
    sums: Floats = np.einsum("ij,j->i", np.ascontiguousarray(features), weights)
    return sums


def _standardised(X: Floats) -> tuple[Floats, Callable[[Floats], Floats]]:
    """X in standard deviations from its known means, clipped at CLIP, unknown values at the mean; and the same map."""
    known = np.isfinite(X)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, X, 0.0).sum(axis=0) / count
    variance = (np.where(known, X - mean, 0.0) ** 2).sum(axis=0) / count
    scale = np.where(variance > 0.0, np.sqrt(variance), 1.0)

    def scaled(features: Floats) -> Floats:
        return np.clip(np.where(np.isfinite(features), (features - mean) / scale, 0.0), -CLIP, CLIP)

    return scaled(X), scaled
