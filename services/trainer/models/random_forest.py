"""Random forest: many decision trees, each on a sample of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree._tree import Tree

from ratchet.errors import InvalidInput
from services.trainer.models.constant import constant_of, params_of, restored_constant
from services.trainer.models.gaps import filled, medians, restored_gaps
from services.trainer.models.port import Fitted, Floats, Knob, Params, Rows, Sample, Start, check_step, logit
from services.trainer.models.trees import restored_trees


@dataclass(frozen=True, eq=False)
class Forest:
    """The mean leaf probability of the trees, on features whose gaps are filled with `gaps`, float64[k]."""

    trees: tuple[Tree, ...]
    gaps: Floats
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        if X.ndim != 2 or X.shape[1] != len(self.gaps):
            raise InvalidInput(f"features of shape {X.shape} for a forest on {len(self.gaps)} columns")
        features = filled(X[rows], self.gaps).astype(np.float32)
        total = np.zeros(len(rows))
        for tree in self.trees:
            total += tree.predict(features)[:, 1]
        return logit(total / len(self.trees))

    def state(self) -> dict[str, object]:
        return {
            "trees": list(self.trees),
            "gaps": self.gaps,
            "params": {name: float(value) for name, value in self.params.items()},
        }


@dataclass(frozen=True)
class RandomForest:
    """Margins are the log-odds of the mean leaf probability; carried on, it is new trees. Source: Breiman 2001."""

    name: str = "random-forest"
    knobs: tuple[Knob, ...] = (Knob("leaf", 5, 60, log=True, whole=True), Knob("columns", 0.1, 0.8, log=True))

    def params(self, step: int) -> dict[str, float]:
        """Trees 50, 80, 110, … and depth 10, 12, 14, …"""
        grown = check_step(step) - 1
        return {"trees": 50 + 30 * grown, "depth": 10 + 2 * grown, "leaf": 15, "columns": 0.2}

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: Start | None = None,  # noqa: ARG002
        stop: Sample | None = None,  # noqa: ARG002
    ) -> Fitted:
        constant = constant_of(sample, params)
        if constant is not None:
            return constant
        features = sample.features
        gaps = medians(features)
        library = RandomForestClassifier(
            n_estimators=int(params["trees"]),
            max_depth=int(params["depth"]),
            min_samples_leaf=int(params["leaf"]),
            max_features=params["columns"],
            random_state=seed,
            n_jobs=1,
        )
        library.fit(filled(features, gaps), sample.labels, sample_weight=sample.weight)
        return Forest(tuple(tree.tree_ for tree in library.estimators_), gaps, params)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        constant = restored_constant(state)
        if constant is not None:
            return constant
        gaps = restored_gaps(state)
        return Forest(restored_trees(state, len(gaps), values=2), gaps, params_of(state))
