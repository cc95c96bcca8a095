"""Logistic regression on standardised features with a ridge penalty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ratchet.errors import CorruptData, InvalidInput
from ratchet.scoring.features import BASE, HAR
from ratchet.scoring.models.constant import constant_of, params_of, restored_constant
from ratchet.scoring.models.imputation import impute, medians, restored_gaps
from ratchet.scoring.models.newton import ridge_logistic
from ratchet.scoring.models.port import (
    MAX_MARGIN,
    Fitted,
    Floats,
    Hyperparameter,
    Params,
    Rows,
    Sample,
    TransferStart,
    check_step,
)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """margin = offset + weights · features, imputed with `gaps`; `weights` and `gaps` are float64[k]."""

    gaps: Floats
    weights: Floats
    offset: float
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        if X.ndim != 2 or X.shape[1] != len(self.weights):
            raise InvalidInput(f"features of shape {X.shape} for a regression on {len(self.weights)} columns")
        # A matrix product's sums would depend on the number of rows.
        z: Floats = np.einsum("ij,j->i", impute(X[rows], self.gaps), self.weights) + self.offset
        return np.clip(z, -MAX_MARGIN, MAX_MARGIN)

    def state(self) -> dict[str, object]:
        return {
            "gaps": self.gaps,
            "weights": self.weights,
            "offset": self.offset,
            "params": {name: float(value) for name, value in self.params.items()},
        }


@dataclass(frozen=True)
class Logistic:
    """Ridge logistic regression on standardised features; a margin enters as the offset."""

    name: str = "logistic"
    features: tuple[str, ...] = BASE
    first_penalty: float = 0.01
    hyperparameters: tuple[Hyperparameter, ...] = (Hyperparameter("inverse_penalty", 0.0005, 1.0, log=True),)

    def params(self, step: int) -> dict[str, float]:
        """The inverse penalty grows by a quarter with every step."""
        return {"inverse_penalty": self.first_penalty * 1.25 ** (check_step(step) - 1)}

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,  # noqa: ARG002
        *,
        start: TransferStart | None = None,  # noqa: ARG002
        stop: Sample | None = None,  # noqa: ARG002
    ) -> Fitted:
        constant = constant_of(sample, params)
        if constant is not None:
            return constant
        features = sample.features
        gaps = medians(features)
        known = impute(features, gaps)
        mean, deviation = known.mean(axis=0), known.std(axis=0)
        scale = np.where(deviation > 0.0, deviation, 1.0)
        design = np.column_stack([(known - mean) / scale, np.ones(len(known))])
        penalty = np.append(np.full(len(mean), 1.0 / params["inverse_penalty"]), 0.0)
        fitted = ridge_logistic(design, sample.labels, penalty, margin=sample.margin, weight=sample.weight)
        weights = fitted[:-1] / scale
        return LinearModel(gaps, weights, float(fitted[-1] - weights @ mean), params)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        constant = restored_constant(state)
        if constant is not None:
            return constant
        gaps, weights, offset = restored_gaps(state), state.get("weights"), state.get("offset")
        if not isinstance(weights, np.ndarray) or weights.dtype != np.float64 or weights.shape != gaps.shape:
            raise CorruptData("the model's weights are not one number a column; fetch the artifact again")
        if not isinstance(offset, float) or not np.isfinite([*weights, offset]).all():
            raise CorruptData("the model's weights or its offset are not finite; fetch the artifact again")
        return LinearModel(gaps, weights, offset, params_of(state))


def har() -> Logistic:
    """Model type har: the logistic regression on the HAR columns. Source: Corsi 2009."""
    return Logistic("har", HAR, first_penalty=0.05)
