"""What families share: the constant for one class, filled gaps, a fitted scikit-learn pipeline as a `Fitted`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from ratchet.errors import CorruptData
from services.trainer.models.port import Fitted, Floats, Params, Rows, Sample, logit


@dataclass(frozen=True, eq=False)
class Constant:
    """The answer of a fit that saw one class, or no row: a margin that ignores its input."""

    value: float
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:  # noqa: ARG002
        return np.full(len(rows), self.value)

    def state(self) -> dict[str, object]:
        return {"constant": self.value, "params": {name: float(value) for name, value in self.params.items()}}


@dataclass(frozen=True, eq=False)
class SklearnFitted:
    """A pipeline (median imputation first) over `width` columns whose last step knows both classes."""

    pipeline: Pipeline
    width: int
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        if len(rows) == 0:
            return np.empty(0)
        return logit(np.asarray(self.pipeline.predict_proba(X[rows])[:, 1], dtype=np.float64))

    def state(self) -> dict[str, object]:
        return {
            "pipeline": self.pipeline,
            "width": self.width,
            "params": {name: float(value) for name, value in self.params.items()},
        }


def constant_of(sample: Sample, params: Params) -> Constant | None:
    """The smoothed log-odds of a sample of one class (Laplace's rule); None where both classes are there."""
    ones, count = int(np.sum(sample.labels)), len(sample.rows)
    if 0 < ones < count:
        return None
    return Constant(float(logit(np.array([(ones + 1.0) / (count + 2.0)]))[0]), params)


def restored_constant(state: Mapping[str, object]) -> Constant | None:
    """The constant that gave this state; None where it is another model's."""
    value = state.get("constant")
    return Constant(value, params_of(state)) if isinstance(value, float) and np.isfinite(value) else None


def params_of(state: Mapping[str, object]) -> dict[str, float]:
    """The hyperparameters in a state, CorruptData for anything else; none in a state from before they were kept."""
    params = state.get("params", {})
    if not isinstance(params, dict):
        raise CorruptData("the model's hyperparameters are no mapping; fetch the artifact again")
    return {str(name): float(value) for name, value in params.items()}


def medians(features: Floats) -> Floats:
    """The median of each column, 0 for a column that is all gaps; float64[k]."""
    imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(features)
    found: Floats = np.nan_to_num(np.asarray(imputer.statistics_, dtype=np.float64))
    return found


def filled(features: Floats, gaps: Floats) -> Floats:
    """Features with each gap filled by its column's value of `gaps`."""
    return np.where(np.isnan(features), gaps, features)


def fit_pipeline(steps: list[tuple[str, TransformerMixin | ClassifierMixin]], sample: Sample, params: Params) -> Fitted:
    """Fit imputation and `steps`; a constant for a sample of one class."""
    constant = constant_of(sample, params)
    if constant is not None:
        return constant
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    pipeline = Pipeline([("impute", imputer), *steps])
    weight = {} if sample.weight is None else {f"{steps[-1][0]}__sample_weight": sample.weight}
    pipeline.fit(sample.features, sample.labels, **weight)
    return SklearnFitted(pipeline, sample.X.shape[1], params)


def restore_pipeline(state: Mapping[str, object], last: type[ClassifierMixin]) -> Fitted:
    """The `Fitted` of a state whose pipeline ends in `last`; CorruptData when it can't be one."""
    constant = restored_constant(state)
    if constant is not None:
        return constant
    pipeline, width = state.get("pipeline"), state.get("width")
    if not isinstance(pipeline, Pipeline) or not isinstance(width, int):
        raise CorruptData("the model's state is neither a constant nor a pipeline; fetch the artifact again")
    if not isinstance(pipeline.steps[-1][1], last):
        raise CorruptData(f"the model's pipeline does not end in a {last.__name__}; fetch the artifact again")
    return SklearnFitted(pipeline, width, params_of(state))
