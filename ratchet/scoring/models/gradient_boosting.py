"""Gradient boosting by scikit-learn: small trees, each fitted to the residual of the previous ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.features import BASE
from ratchet.scoring.models.boosting import (
    PATIENCE,
    BoostingBase,
    boosting_base,
    checked_rows,
    clip_margin,
    counted_rows,
    fitted_params,
    initial_margin,
    restored_number,
    schedule,
)
from ratchet.scoring.models.constant import constant_of, params_of, restored_constant
from ratchet.scoring.models.imputation import impute, medians, restored_gaps
from ratchet.scoring.models.port import Fitted, Floats, Hyperparameter, Params, Rows, Sample, TransferStart, sigmoid
from ratchet.scoring.models.trees import restored_trees

if TYPE_CHECKING:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.tree._tree import Tree


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """margin = prior + rate · the sum of the trees, on features imputed with `gaps`, float64[k]."""

    trees: tuple[Tree, ...]
    gaps: Floats
    rate: float
    prior: float
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        features = _impute(checked_rows(X, rows, len(self.gaps)), self.gaps)
        total = np.zeros(len(rows))
        for tree in self.trees:
            total += tree.predict(features)[:, 0]
        return clip_margin(self.prior + self.rate * total)

    def state(self) -> dict[str, object]:
        return {
            "trees": list(self.trees),
            "gaps": self.gaps,
            "rate": self.rate,
            "prior": self.prior,
            "params": dict(self.params),
        }


@dataclass(frozen=True)
class GradientBoosting:
    """Transfer adds rounds to the parent's margin. Source: Friedman 2001, 2002.

    Early stopping applies only without a start: a start holds the parent's margin only at the rows of the sample.
    """

    name: str = "gradient-boosting"
    features: tuple[str, ...] = BASE
    hyperparameters: tuple[Hyperparameter, ...] = (
        Hyperparameter("depth", 1, 5, whole=True),
        Hyperparameter("leaf", 5, 60, log=True, whole=True),
        Hyperparameter("columns", 0.05, 0.4, log=True),
    )

    def params(self, step: int) -> dict[str, float]:
        """The schedule of boosting, with the parameters of this library."""
        return {**schedule(step), "leaf": 15, "columns": 0.1, "subsample": 0.7}

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: TransferStart | None = None,
        stop: Sample | None = None,
    ) -> Fitted:
        base = boosting_base(sample, start)
        constant = constant_of(base.sample, params)
        if constant is not None:
            return constant
        gaps = medians(base.sample.features)
        watch = _EarlyStopping.of(counted_rows(stop), gaps, base.prior) if stop is not None and start is None else None
        library = boost(base, gaps, params, seed, watch)
        kept = library.n_estimators_ if watch is None else watch.best_round
        return BoostedTrees(
            tuple(stage.tree_ for stage in library.estimators_[:kept, 0]),
            gaps,
            float(params["rate"]),
            base.prior,
            fitted_params(params, kept),
        )

    def restore(self, state: Mapping[str, object]) -> Fitted:
        constant = restored_constant(state)
        if constant is not None:
            return constant
        gaps = restored_gaps(state)
        trees = restored_trees(state, len(gaps), values=1)
        return BoostedTrees(
            trees, gaps, restored_number(state, "rate"), restored_number(state, "prior"), params_of(state)
        )


def boost(
    base: BoostingBase, gaps: Floats, params: Params, seed: int, watch: _EarlyStopping | None = None
) -> GradientBoostingClassifier:
    """The library's model, with `base.margin` as its initial margin; it predicts only the rows of its fit."""
    from sklearn.ensemble import GradientBoostingClassifier

    library = GradientBoostingClassifier(
        init=_margins(base.margin),
        n_estimators=int(params["rounds"]),
        learning_rate=params["rate"],
        max_depth=int(params["depth"]),
        min_samples_leaf=int(params["leaf"]),
        max_features=params["columns"],
        subsample=params["subsample"],
        random_state=seed,
    )
    features = _impute(base.sample.features, gaps)
    return library.fit(features, base.sample.labels, sample_weight=base.sample.weight, monitor=watch)


def _margins(margin: Floats) -> Any:
    """An estimator that always answers these margins: the initial estimator of the library."""
    from sklearn.base import BaseEstimator

    class Margins(BaseEstimator):  # type: ignore[misc]
        def fit(self, X: object, y: object, sample_weight: object = None) -> Margins:  # noqa: ARG002
            return self

        def predict_proba(self, X: object) -> Floats:  # noqa: ARG002
            p = sigmoid(margin)
            return np.column_stack([1.0 - p, p])

    return Margins()


class _EarlyStopping:
    """Monitors the log loss on the stopping rows, round by round; the call returns True to stop the fit."""

    def __init__(self, features: NDArray[np.float32], sample: Sample, prior: float) -> None:
        self.best_round = 0
        self._features = features
        self._sample = sample
        self._margin = initial_margin(sample, prior).copy()
        self._lowest = np.inf

    @classmethod
    def of(cls, sample: Sample, gaps: Floats, prior: float) -> _EarlyStopping | None:
        """None without stopping rows."""
        return cls(_impute(sample.features, gaps), sample, prior) if len(sample.rows) else None

    def __call__(self, stage: int, library: GradientBoostingClassifier, _: object) -> bool:
        rounds = stage + 1
        self._margin += library.learning_rate * library.estimators_[stage, 0].tree_.predict(self._features)[:, 0]
        losses = np.logaddexp(0.0, self._margin) - self._sample.labels * self._margin
        loss = float(np.average(losses, weights=self._sample.weight))
        if loss < self._lowest:
            self._lowest, self.best_round = loss, rounds
        return rounds - self.best_round >= PATIENCE


def _impute(features: Floats, gaps: Floats) -> NDArray[np.float32]:
    """Imputed features, float32[m, k], the precision of the trees."""
    return impute(features, gaps).astype(np.float32)
