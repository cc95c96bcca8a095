"""Constant model of a degenerate sample; and the hyperparameters in every state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ratchet.errors import CorruptData
from ratchet.scoring.models.port import Floats, Params, Rows, Sample, logit
from ratchet.statistics.scores import defined


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant margin: the fit of a sample with too few rows of a class, or without columns."""

    value: float
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:  # noqa: ARG002
        return np.full(len(rows), self.value)

    def state(self) -> dict[str, object]:
        return {"constant": self.value, "params": {name: float(value) for name, value in self.params.items()}}


def constant_of(sample: Sample, params: Params) -> Constant | None:
    """The smoothed log-odds (Laplace's rule) of a sample with fewer than CLASS_ROWS of a class or no column; else None.

    0 on a margin.
    """
    labels = sample.labels
    if defined(labels) and sample.X.shape[1]:
        return None
    if sample.margin is not None:
        return Constant(0.0, params)
    return Constant(float(logit(np.array([(float(np.sum(labels)) + 1.0) / (len(labels) + 2.0)]))[0]), params)


def restored_constant(state: Mapping[str, object]) -> Constant | None:
    """The constant of this state; None for another model's state."""
    value = state.get("constant")
    return Constant(value, params_of(state)) if isinstance(value, float) and np.isfinite(value) else None


def params_of(state: Mapping[str, object]) -> dict[str, float]:
    """The hyperparameters in a state, CorruptData for malformed ones; empty for a state of a version without them."""
    params = state.get("params", {})
    if not isinstance(params, dict):
        raise CorruptData("the model's hyperparameters are no mapping; fetch the artifact again")
    return {str(name): float(value) for name, value in params.items()}
