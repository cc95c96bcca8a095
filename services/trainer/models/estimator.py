"""A fitted scikit-learn pipeline as a `Fitted`; the part that all scikit-learn families share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from ratchet.errors import CorruptData
from services.trainer.models.port import Fitted, Floats, logit


@dataclass(frozen=True, eq=False)
class Constant:
    """The answer of a fit that saw one class, or no row: a margin that ignores its input."""

    value: float

    def margin(self, X: Floats) -> Floats:
        return np.full(len(X), self.value)

    def state(self) -> dict[str, object]:
        return {"constant": self.value}


@dataclass(frozen=True, eq=False)
class SklearnFitted:
    """A pipeline (median imputation first) over `width` columns whose last step knows both classes."""

    pipeline: Pipeline
    width: int

    def margin(self, X: Floats) -> Floats:
        if len(X) == 0:
            return np.empty(0)
        return logit(np.asarray(self.pipeline.predict_proba(X)[:, 1], dtype=np.float64))

    def state(self) -> dict[str, object]:
        return {"pipeline": self.pipeline, "width": self.width}


def fit_pipeline(
    steps: list[tuple[str, TransformerMixin | ClassifierMixin]], X: Floats, y: Floats, weight: Floats | None
) -> Fitted:
    """Fit imputation and `steps`; one class gives the smoothed log-odds of that class (Laplace's rule)."""
    ones = int(np.sum(y))
    if ones in (0, len(y)):
        return Constant(float(logit(np.array([(ones + 1.0) / (len(y) + 2.0)]))[0]))
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    pipeline = Pipeline([("impute", imputer), *steps])
    pipeline.fit(X, y, **({} if weight is None else {f"{steps[-1][0]}__sample_weight": weight}))
    return SklearnFitted(pipeline, X.shape[1])


def restore_pipeline(state: Mapping[str, object], last: type[ClassifierMixin]) -> Fitted:
    """The `Fitted` of a state whose pipeline ends in `last`; CorruptData when it can't be one."""
    constant = state.get("constant")
    if isinstance(constant, float) and np.isfinite(constant):
        return Constant(constant)
    pipeline, width = state.get("pipeline"), state.get("width")
    if not isinstance(pipeline, Pipeline) or not isinstance(width, int):
        raise CorruptData("the model's state is neither a constant nor a pipeline; fetch the artifact again")
    if not isinstance(pipeline.steps[-1][1], last):
        raise CorruptData(f"the model's pipeline does not end in a {last.__name__}; fetch the artifact again")
    return SklearnFitted(pipeline, width)
