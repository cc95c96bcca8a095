"""Random forest: many decision trees, each on a sample of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from ratchet.errors import CorruptData
from services.trainer.models.estimator import SklearnFitted, fit_pipeline, restore_pipeline
from services.trainer.models.port import Fitted, Floats, Params, check_step


@dataclass(frozen=True)
class RandomForest:
    """Margins are the log-odds of the mean leaf probability. Source: Breiman 2001."""

    name: str = "random-forest"

    def params(self, step: int) -> dict[str, float]:
        """Trees 50, 80, 110, … and depth 10, 12, 14, …"""
        grown = check_step(step) - 1
        return {"trees": 50 + 30 * grown, "depth": 10 + 2 * grown, "leaf": 15}

    def fit(self, X: Floats, y: Floats, params: Params, seed: int, weight: Floats | None = None) -> Fitted:
        forest = RandomForestClassifier(
            n_estimators=int(params["trees"]),
            max_depth=int(params["depth"]),
            min_samples_leaf=int(params["leaf"]),
            max_features="sqrt",
            random_state=seed,
            n_jobs=1,
        )
        return fit_pipeline([("forest", forest)], X, y, weight)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        fitted = restore_pipeline(state, RandomForestClassifier)
        if isinstance(fitted, SklearnFitted):
            _check_trees(fitted)
        return fitted


def _check_trees(fitted: SklearnFitted) -> None:
    """CorruptData for a tree whose nodes point outside of it: scikit-learn follows them without a check."""
    for estimator in fitted.pipeline.steps[-1][1].estimators_:
        tree = estimator.tree_
        nodes = np.arange(tree.node_count)
        left, right, feature = tree.children_left, tree.children_right, tree.feature
        leaf = left == -1
        inside = (left > nodes) & (right > nodes) & (left < tree.node_count) & (right < tree.node_count)
        split_on = (feature >= 0) & (feature < min(fitted.width, tree.n_features))
        if not bool(np.all(leaf | (inside & split_on))) or tree.n_outputs != 1 or tree.value.shape[2] != 2:
            raise CorruptData("a tree of the random forest points outside of itself; fetch the artifact again")
