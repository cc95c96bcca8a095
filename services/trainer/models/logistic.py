"""Logistic regression on standardised features with a ridge penalty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from services.trainer.models.estimator import fit_pipeline, restore_pipeline
from services.trainer.models.port import Fitted, Floats, Params, check_step


@dataclass(frozen=True)
class Logistic:
    """The simple one, and the baseline of all the others."""

    name: str = "logistic"

    def params(self, step: int) -> dict[str, float]:
        """The inverse penalty doubles with every step."""
        return {"inverse_penalty": 0.005 * 2.0 ** (check_step(step) - 1)}

    def fit(self, X: Floats, y: Floats, params: Params, seed: int, weight: Floats | None = None) -> Fitted:  # noqa: ARG002
        regression = LogisticRegression(C=params["inverse_penalty"], max_iter=500, tol=1e-6)
        return fit_pipeline([("scale", StandardScaler()), ("regression", regression)], X, y, weight)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        return restore_pipeline(state, LogisticRegression)
