"""Logistic regression on standardised features with a ridge penalty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from services.trainer.models.estimator import fit_pipeline, restore_pipeline
from services.trainer.models.port import Fitted, Knob, Params, Sample, Start, check_step


@dataclass(frozen=True)
class Logistic:
    """The simple one, and the baseline of all the others. Carried on, it is a linear part of its own."""

    name: str = "logistic"
    knobs: tuple[Knob, ...] = (Knob("inverse_penalty", 0.0005, 5.0, log=True),)

    def params(self, step: int) -> dict[str, float]:
        """The inverse penalty doubles with every step."""
        return {"inverse_penalty": 0.005 * 2.0 ** (check_step(step) - 1)}

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,  # noqa: ARG002
        *,
        start: Start | None = None,  # noqa: ARG002
        stop: Sample | None = None,  # noqa: ARG002
    ) -> Fitted:
        regression = LogisticRegression(C=params["inverse_penalty"], max_iter=500, tol=1e-6)
        return fit_pipeline([("scale", StandardScaler()), ("regression", regression)], sample, params)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        return restore_pipeline(state, LogisticRegression)
