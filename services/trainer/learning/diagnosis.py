"""Diagnoses of a declined challenger: regime shift and overfit.

regime_shift   the holdout's features differ from the training's more than windows within the training differ
overfit        from choose to holdout the challenger's loss grows more than the parent's

Sources: Lopez-Paz & Oquab 2017 (classifier two-sample tests); Diebold & Mariano 1995; Welch 1947.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.scoring.models.port import Floats, sigmoid
from ratchet.statistics.arrays import floats, same_length
from ratchet.statistics.diebold_mariano import corrected_standard_error
from ratchet.statistics.scores import CONFIDENCE, Interval, auc
from ratchet.statistics.special import student_t_ppf

Bools = NDArray[np.bool_]

AUC_THRESHOLD = 0.65
REFERENCE_WINDOWS = 100
FOLDS = 5
BLOCK = 20
RIDGE = 0.3
CLIP = 3.0
MIN_ROWS = BLOCK * FOLDS
MIN_HISTORY_RATIO = 3
"""Training rows per row of the holdout: with fewer, hardly any two reference windows are disjoint."""


@dataclass(frozen=True)
class RegimeShift:
    """The AUC of a classifier between training and holdout features; no reference window within the training reaches
    it."""

    auc: float
    rows: int
    reference_windows: int


@dataclass(frozen=True)
class OverfitGap:
    """Growth of the challenger's Brier loss from choose to holdout, in excess of the parent's on the same bars."""

    excess: Interval


def regime_shift(X_train: Floats, X_holdout: Floats, generator: np.random.Generator) -> RegimeShift | None:
    """Tests for a regime shift between rows float64[n, k] and the following rows float64[m, k], NaN allowed.

    A shift is shown if the AUC exceeds AUC_THRESHOLD and the AUC of each of REFERENCE_WINDOWS windows of m training
    rows, evenly spaced, against the rest of the training. Shuffled short blocks are no valid null: any two windows of
    persistent columns are separable, and scattered blocks are not contiguous. Of runs without a shift (21 columns, n =
    2,400, m = 300) shuffled blocks of 20 reported one in 23 % at autocorrelation .9 and in all at .98; the windows in 5
    and 2 %. As the windows overlap, the test has no exact level. `generator` orders the windows: the order saves time
    and does not affect the result.

    None with fewer than MIN_ROWS rows or too short a history. InvalidInput for different numbers of columns.
    """
    if X_train.shape[1:] != X_holdout.shape[1:]:
        raise InvalidInput(
            f"training has {X_train.shape[1]} columns, holdout {X_holdout.shape[1]}; pass the same columns of both"
        )
    n, m = len(X_train), len(X_holdout)
    if m < MIN_ROWS or n < MIN_HISTORY_RATIO * m:
        return None
    Z = _design(X_train, X_holdout)
    observed = _cross_validated_auc(Z, n, m)
    if not observed > AUC_THRESHOLD:
        return None
    starts = np.unique(np.linspace(0, n - m, REFERENCE_WINDOWS).astype(np.int64))
    if any(_cross_validated_auc(Z[:n], int(start), m) >= observed for start in generator.permutation(starts)):
        return None
    return RegimeShift(observed, m, len(starts))


def overfit(
    challenger_holdout_losses: Floats,
    challenger_choose_losses: Floats,
    parent_holdout_losses: Floats,
    parent_choose_losses: Floats,
    horizon: int,
) -> OverfitGap | None:
    """The overfit gap, if its 95 % interval lies above 0: Brier losses float64[n] on the holdout, float64[m] on choose.

    Both models are scored on the same bars, out-of-sample for both: the challenger's losses on choose are those of the
    fit without choose. The two windows share no bar; their HAC errors are taken as independent (Welch's degrees of
    freedom). None also if an error can't be estimated. InvalidInput for different lengths.
    """
    held = _loss_differences(challenger_holdout_losses, parent_holdout_losses)
    chosen = _loss_differences(challenger_choose_losses, parent_choose_losses)
    errors = corrected_standard_error(held, horizon), corrected_standard_error(chosen, horizon)
    if any(math.isnan(error) for error in errors):
        return None
    variance, other = errors[0] ** 2, errors[1] ** 2
    freedom = (variance + other) ** 2 / (variance**2 / (len(held) - 1) + other**2 / (len(chosen) - 1))
    value = float(held.mean() - chosen.mean())
    half = student_t_ppf(0.5 + CONFIDENCE / 2, freedom) * math.sqrt(variance + other)
    return OverfitGap(Interval(value, value - half, value + half)) if value - half > 0.0 else None


def _loss_differences(challenger: Floats, parent: Floats) -> Floats:
    mine, theirs = floats("challenger losses", challenger), floats("parent losses", parent)
    same_length(challenger=mine, parent=theirs)
    return mine - theirs


def _design(X_train: Floats, X_holdout: Floats) -> Floats:
    """Columns and their squares float64[n + m, 2k], standardised by the training: means and spreads both count.

    Missing values become the training's median; columns without variation in training are left out.
    """
    varies = np.array([len(np.unique(column[np.isfinite(column)])) > 1 for column in X_train.T], dtype=np.bool_)
    training, X = X_train[:, varies], np.concatenate([X_train, X_holdout])[:, varies]
    X = np.where(np.isfinite(X), X, np.nanmedian(np.where(np.isfinite(training), training, np.nan), axis=0))
    Z = np.clip(_standardised(X, len(X_train)), -CLIP, CLIP)
    return _standardised(np.column_stack([Z, Z * Z]), len(X_train))


def _standardised(X: Floats, n: int) -> Floats:
    """X standardised by its first n rows; columns without variation there are only centred."""
    spread = X[:n].std(axis=0)
    Z: Floats = (X - X[:n].mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    return Z


def _cross_validated_auc(Z: Floats, start: int, m: int) -> float:
    """Out-of-fold AUC between the m rows of Z from `start` on and all others; chance is .5.

    Blocks of BLOCK rows are assigned to the folds in rotation, separately inside and outside. The classifier is
    Fisher's discriminant with a ridge: the first step of a logistic regression, at the cost of one matrix product.
    """
    inside = np.zeros(len(Z), dtype=np.bool_)
    inside[start : start + m] = True
    centred = inside - inside.mean()
    folds = [np.flatnonzero(_folds(inside) == fold) for fold in range(FOLDS)]
    parts = [Z[rows] for rows in folds]
    products = np.array([part.T @ part for part in parts])
    targets = np.array([part.T @ centred[rows] for part, rows in zip(parts, folds, strict=True)])
    ridge = RIDGE * len(Z) * np.eye(Z.shape[1])
    weights = np.linalg.solve(products.sum(axis=0) - products + ridge, (targets.sum(axis=0) - targets)[:, :, None])
    scores = np.empty(len(Z))
    for rows, part, weight in zip(folds, parts, weights[:, :, 0], strict=True):
        scores[rows] = part @ weight
    return auc(sigmoid(scores), inside)


def _folds(inside: Bools) -> NDArray[np.int64]:
    """Fold of each row, int64[n]."""
    fold = np.empty(len(inside), dtype=np.int64)
    for side in (inside, ~inside):
        fold[side] = np.arange(int(np.sum(side))) // BLOCK % FOLDS
    return fold
