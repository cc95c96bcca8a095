"""Interface of a model family: it fits the rows of a series to their labels and answers with margins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int64]
Params: TypeAlias = Mapping[str, float]

MAX_STEP = 10
MAX_MARGIN = 6.0
"""Margins lie within ± this many log-odds (probabilities within .0025 and .9975)."""

LOOK_BACK = 64
"""Maximum lookback of all families, in bars."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of a series with their labels.

    `X` float64[n, k] (NaN allowed) holds every bar, oldest first, so that a family may look back from a row; `y`
    float64[n] is 0.0 or 1.0 at `rows`, int64[m] in increasing order; each counts `weight` times, float64[m].
    `margin`, float64[m]: log-odds at the rows that a new part is fitted on top of (an offset); None: 0.
    """

    X: Floats
    y: Floats
    rows: Rows
    weight: Floats | None = None
    margin: Floats | None = None

    @property
    def features(self) -> Floats:
        """float64[m, k]"""
        return self.X[self.rows]

    @property
    def labels(self) -> Floats:
        """float64[m]"""
        return self.y[self.rows]


@dataclass(frozen=True, eq=False)
class TransferStart:
    """Start of a transfer: the parent's log-odds at the sample's rows, float64[m], and its newest fitted part.

    `reads`: indices of that part's columns in the sample, in its own order.
    """

    margin: Floats
    fitted: Fitted | None = None
    reads: tuple[int, ...] = ()


@dataclass(frozen=True)
class Hyperparameter:
    """A tunable hyperparameter, from `low` to `high`."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False


class Fitted(Protocol):
    """A fitted model."""

    @property
    def params(self) -> Params:
        """Hyperparameters of the fit; early stopping may have lowered the number of rounds."""
        ...

    def margin(self, X: Floats, rows: Rows) -> Floats:
        """Log-odds at `rows`, float64[m], finite and clipped; X float64[n, k] holds every bar.

        Log-odds of label 1 or, for a fit on a margin, their addition to it.
        """
        ...

    def state(self) -> dict[str, object]:
        """Plain values and estimators, from which the family restores an equal model."""
        ...


class Family(Protocol):
    """A learning algorithm: one model type of a lineage."""

    @property
    def name(self) -> str: ...

    @property
    def features(self) -> tuple[str, ...]:
        """The features of a lineage's first version, if available for the series."""
        ...

    @property
    def hyperparameters(self) -> tuple[Hyperparameter, ...]:
        """Tunable hyperparameters beside the complexity step; all are among `params`."""
        ...

    def params(self, step: int) -> dict[str, float]:
        """Hyperparameters of complexity step 1 … MAX_STEP; a later step may fit more."""
        ...

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: TransferStart | None = None,
        stop: Sample | None = None,
    ) -> Fitted:
        """Fits the sample, from scratch or from `start`.

        `stop`: rows for the early stopping of iterative families.
        """
        ...

    def restore(self, state: Mapping[str, object]) -> Fitted:
        """The model of this state; CorruptData for a malformed state."""
        ...


def logit(p: Floats) -> Floats:
    """Log-odds of probabilities, clipped to ± MAX_MARGIN."""
    low = 1.0 / (1.0 + np.exp(MAX_MARGIN))
    inside = np.clip(p, low, 1.0 - low)
    margin: Floats = np.log(inside) - np.log1p(-inside)
    return margin


def sigmoid(z: Floats) -> Floats:
    """Probabilities of log-odds."""
    p: Floats = 1.0 / (1.0 + np.exp(-z))
    return p


def check_step(step: int) -> int:
    """`step` within 1 … MAX_STEP."""
    return min(MAX_STEP, max(1, step))
