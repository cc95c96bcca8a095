"""Random forest: many decision trees, each on a sample of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sklearn.ensemble import RandomForestClassifier

from services.trainer.models.estimator import SklearnFitted, fit_pipeline, restore_pipeline
from services.trainer.models.port import Fitted, Knob, Params, Sample, Start, check_step
from services.trainer.models.trees import check_trees


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
        forest = RandomForestClassifier(
            n_estimators=int(params["trees"]),
            max_depth=int(params["depth"]),
            min_samples_leaf=int(params["leaf"]),
            max_features=params["columns"],
            random_state=seed,
            n_jobs=1,
        )
        return fit_pipeline([("forest", forest)], sample, params)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        fitted = restore_pipeline(state, RandomForestClassifier)
        if isinstance(fitted, SklearnFitted):
            trees = (estimator.tree_ for estimator in fitted.pipeline.steps[-1][1].estimators_)
            check_trees(trees, fitted.width, 2)
        return fitted
