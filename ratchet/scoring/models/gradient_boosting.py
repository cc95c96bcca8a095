"""Gradient boosting by scikit-learn: small trees, each fitted to what the ones before it leave unexplained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.features import BASE
from ratchet.scoring.models.boosting import (
    PATIENCE,
    Base,
    base_of,
    begun,
    clipped,
    counted_rows,
    kept_params,
    read_rows,
    restored_number,
    schedule,
)
from ratchet.scoring.models.constant import constant_of, params_of, restored_constant
from ratchet.scoring.models.gaps import filled, medians, restored_gaps
from ratchet.scoring.models.port import Fitted, Floats, Knob, Params, Rows, Sample, Start, sigmoid
from ratchet.scoring.models.trees import restored_trees

if TYPE_CHECKING:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.tree._tree import Tree


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """margin = prior + rate · the sum of the trees, on features whose gaps are filled with `gaps`, float64[k]."""

    trees: tuple[Tree, ...]
    gaps: Floats
    rate: float
    prior: float
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        features = _filled(read_rows(X, rows, len(self.gaps)), self.gaps)
        total = np.zeros(len(rows))
        for tree in self.trees:
            total += tree.predict(features)[:, 0]
        return clipped(self.prior + self.rate * total)

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
    """Carried on, it is new rounds on the parent's margin. Source: Friedman 2001, 2002.

    Rounds stop early in a fit of its own only: a start tells the parent's margin at the rows of the sample alone.
    """

    name: str = "gradient-boosting"
    features: tuple[str, ...] = BASE
    knobs: tuple[Knob, ...] = (
        Knob("depth", 1, 5, whole=True),
        Knob("leaf", 5, 60, log=True, whole=True),
        Knob("columns", 0.05, 0.4, log=True),
    )

    def params(self, step: int) -> dict[str, float]:
        """The schedule of boosting, with what this library asks for beside it."""
        return {**schedule(step), "leaf": 15, "columns": 0.1, "subsample": 0.7}

    def fit(
        self, sample: Sample, params: Params, seed: int, *, start: Start | None = None, stop: Sample | None = None
    ) -> Fitted:
        base = base_of(sample, start)
        constant = constant_of(base.sample, params)
        if constant is not None:
            return constant
        gaps = medians(base.sample.features)
        watch = _Watch.of(counted_rows(stop), gaps, base.prior) if stop is not None and start is None else None
        library = boost(base, gaps, params, seed, watch)
        kept = library.n_estimators_ if watch is None else watch.best_round
        return BoostedTrees(
            tuple(stage.tree_ for stage in library.estimators_[:kept, 0]),
            gaps,
            float(params["rate"]),
            base.prior,
            kept_params(params, kept),
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
    base: Base, gaps: Floats, params: Params, seed: int, watch: _Watch | None = None
) -> GradientBoostingClassifier:
    """The library's model whose first round corrects `base.margin`; it answers for the rows it was fitted on only."""
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
    features = _filled(base.sample.features, gaps)
    return library.fit(features, base.sample.labels, sample_weight=base.sample.weight, monitor=watch)


def _margins(margin: Floats) -> Any:
    """An estimator that answers with these margins whatever the rows: the start of the library's rounds."""
    from sklearn.base import BaseEstimator

    class Margins(BaseEstimator):  # type: ignore[misc]
        def fit(self, X: object, y: object, sample_weight: object = None) -> Margins:  # noqa: ARG002
            return self

        def predict_proba(self, X: object) -> Floats:  # noqa: ARG002
            p = sigmoid(margin)
            return np.column_stack([1.0 - p, p])

    return Margins()


class _Watch:
    """Follows the log loss on the stopping rows, round by round; true as an answer ends the fit."""

    def __init__(self, features: NDArray[np.float32], sample: Sample, prior: float) -> None:
        self.best_round = 0
        self._features = features
        self._sample = sample
        self._margin = begun(sample, prior).copy()
        self._lowest = np.inf

    @classmethod
    def of(cls, sample: Sample, gaps: Floats, prior: float) -> _Watch | None:
        """None where there is no row to follow."""
        return cls(_filled(sample.features, gaps), sample, prior) if len(sample.rows) else None

    def __call__(self, stage: int, library: GradientBoostingClassifier, _: object) -> bool:
        rounds = stage + 1
        self._margin += library.learning_rate * library.estimators_[stage, 0].tree_.predict(self._features)[:, 0]
        losses = np.logaddexp(0.0, self._margin) - self._sample.labels * self._margin
        loss = float(np.average(losses, weights=self._sample.weight))
        if loss < self._lowest:
            self._lowest, self.best_round = loss, rounds
        return rounds - self.best_round >= PATIENCE


def _filled(features: Floats, gaps: Floats) -> NDArray[np.float32]:
    """Features without gaps, float32[m, k], the precision that the trees are fitted and read in."""
    return filled(features, gaps).astype(np.float32)
