"""Random forest: many decision trees, each on a sample of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ratchet.errors import CorruptData, InvalidInput
from ratchet.scoring.features import BASE
from ratchet.scoring.models.constant import constant_of, params_of, restored_constant
from ratchet.scoring.models.imputation import impute, medians, restored_gaps
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
    logit,
    sigmoid,
)
from ratchet.scoring.models.trees import restored_trees

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree


@dataclass(frozen=True, eq=False)
class Forest:
    """The mean of the trees, on features imputed with `gaps`, float64[k].

    Classification trees answer leaf probabilities and the margin is the log-odds of their mean; `added`: regression
    trees, with their mean added to the margin of their fit.
    """

    trees: tuple[Tree, ...]
    gaps: Floats
    params: Params
    added: bool = False

    def margin(self, X: Floats, rows: Rows) -> Floats:
        if X.ndim != 2 or X.shape[1] != len(self.gaps):
            raise InvalidInput(f"features of shape {X.shape} for a forest on {len(self.gaps)} columns")
        features = impute(X[rows], self.gaps).astype(np.float32)
        answer = 0 if self.added else 1
        total = np.zeros(len(rows))
        for tree in self.trees:
            total += tree.predict(features)[:, answer]
        mean = total / len(self.trees)
        return np.clip(mean, -MAX_MARGIN, MAX_MARGIN) if self.added else logit(mean)

    def state(self) -> dict[str, object]:
        return {
            "trees": list(self.trees),
            "gaps": self.gaps,
            "params": {name: float(value) for name, value in self.params.items()},
            "added": self.added,
        }


@dataclass(frozen=True)
class RandomForest:
    """Trees on samples of rows and columns; transfer adds trees. Source: Breiman 2001.

    On a margin the trees are fitted to its Newton residuals (y − p) / p(1 − p), rows weighted by p(1 − p), and leaves
    are twice as large. Source: Friedman, Hastie & Tibshirani 2000 (LogitBoost).
    """

    name: str = "random-forest"
    features: tuple[str, ...] = BASE
    hyperparameters: tuple[Hyperparameter, ...] = (
        Hyperparameter("leaf", 5, 60, log=True, whole=True),
        Hyperparameter("columns", 0.03, 0.2, log=True),
    )

    def params(self, step: int) -> dict[str, float]:
        """Trees 50, 80, 110, … and depth 10, 12, 14, …"""
        grown = check_step(step) - 1
        return {"trees": 50 + 30 * grown, "depth": 10 + 2 * grown, "leaf": 15, "columns": 0.1}

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: TransferStart | None = None,  # noqa: ARG002
        stop: Sample | None = None,  # noqa: ARG002
    ) -> Fitted:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        constant = constant_of(sample, params)
        if constant is not None:
            return constant
        features = sample.features
        gaps = medians(features)
        grown = {
            "n_estimators": int(params["trees"]),
            "max_depth": int(params["depth"]),
            "max_features": params["columns"],
            "random_state": seed,
            "n_jobs": 1,
        }
        leaf = int(params["leaf"])
        if sample.margin is None:
            library = RandomForestClassifier(**grown, min_samples_leaf=leaf)
            library.fit(impute(features, gaps), sample.labels, sample_weight=sample.weight)
        else:
            p = sigmoid(sample.margin)
            curvature = p * (1.0 - p)
            weight = curvature if sample.weight is None else curvature * sample.weight
            library = RandomForestRegressor(**grown, min_samples_leaf=2 * leaf)
            library.fit(impute(features, gaps), (sample.labels - p) / curvature, sample_weight=weight)
        trees = tuple(tree.tree_ for tree in library.estimators_)
        return Forest(trees, gaps, params, added=sample.margin is not None)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        constant = restored_constant(state)
        if constant is not None:
            return constant
        gaps, added = restored_gaps(state), state.get("added")
        if not isinstance(added, bool):
            raise CorruptData(
                "the forest's state does not say whether it is added to a margin; fetch the artifact again"
            )
        return Forest(restored_trees(state, len(gaps), values=1 if added else 2), gaps, params_of(state), added)
