"""What a model family is: it fits features to labels and answers with margins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Params: TypeAlias = Mapping[str, float]

MAX_STEP = 10
MAX_MARGIN = 6.0
"""Margins lie within ± this many log-odds (probabilities within .0025 and .9975)."""


class Fitted(Protocol):
    """A fitted model."""

    def margin(self, X: Floats) -> Floats:
        """Log-odds of label 1, float64[n], finite and clipped, for X float64[n, k] (NaN allowed)."""
        ...

    def state(self) -> dict[str, object]:
        """Plain values and estimators, from which the family restores an equal model."""
        ...


class Family(Protocol):
    """A way to fit: one model type of a lineage, or a part of one."""

    @property
    def name(self) -> str: ...

    def params(self, step: int) -> dict[str, float]:
        """Hyperparameters of complexity step 1 … MAX_STEP; a later step may fit more."""
        ...

    def fit(self, X: Floats, y: Floats, params: Params, seed: int, weight: Floats | None = None) -> Fitted:
        """Fit X float64[n, k] (NaN allowed) to labels y (0.0 or 1.0), each row counted `weight` times."""
        ...

    def restore(self, state: Mapping[str, object]) -> Fitted:
        """The model that gave this state; raises CorruptData when the state can't be one."""
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
