"""Gradient boosting by XGBoost: trees on binned features with a penalty on their leaves; gaps choose a side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ratchet.errors import CorruptData
from ratchet.scoring.features import BASE
from ratchet.scoring.models.boosters import check_booster
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
    restored_width,
    schedule,
)
from ratchet.scoring.models.constant import constant_of, params_of, restored_constant
from ratchet.scoring.models.port import Fitted, Floats, Hyperparameter, Params, Rows, Sample, TransferStart

if TYPE_CHECKING:
    import xgboost as xgb


@dataclass(frozen=True, eq=False)
class BoostedRounds:
    """margin = prior + output of `booster`; `content` is the booster as UBJSON, over `width` columns."""

    booster: xgb.Booster
    content: bytes
    width: int
    prior: float
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        features = checked_rows(X, rows, self.width)
        if len(rows) == 0:
            return np.empty(0)
        added = self.booster.inplace_predict(features, predict_type="margin")
        return clip_margin(self.prior + np.asarray(added, dtype=np.float64))

    def state(self) -> dict[str, object]:
        return {
            "booster": np.frombuffer(self.content, np.uint8),
            "width": self.width,
            "prior": self.prior,
            "params": dict(self.params),
        }


@dataclass(frozen=True)
class XGBoost:
    """Transfer adds rounds to the parent's margin. Source: Chen & Guestrin 2016.

    Early stopping applies only without a start: a start holds the parent's margin only at the rows of the sample.
    """

    name: str = "xgboost"
    features: tuple[str, ...] = BASE
    hyperparameters: tuple[Hyperparameter, ...] = (
        Hyperparameter("depth", 1, 5, whole=True),
        Hyperparameter("child_weight", 0.5, 15.0, log=True),
        Hyperparameter("l2", 0.1, 100.0, log=True),
    )

    def params(self, step: int) -> dict[str, float]:
        """The schedule of boosting, with the parameters of this library."""
        return {**schedule(step), "child_weight": 4.0, "l2": 5.0, "columns": 0.15, "subsample": 0.7}

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
        watched = counted_rows(stop) if stop is not None and start is None else None
        booster = boost(base, params, seed, watched)
        content = bytes(booster.save_raw("ubj"))
        kept = fitted_params(params, booster.num_boosted_rounds())
        return BoostedRounds(booster, content, sample.X.shape[1], base.prior, kept)

    def restore(self, state: Mapping[str, object]) -> Fitted:
        constant = restored_constant(state)
        if constant is not None:
            return constant
        held = state.get("booster")
        if not isinstance(held, np.ndarray) or held.dtype != np.uint8 or held.ndim != 1:
            raise CorruptData("the model's state is neither a constant nor an XGBoost model; fetch the artifact again")
        content, width = held.tobytes(), restored_width(state)
        check_booster(content, width)
        import xgboost as xgb

        booster = xgb.Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(content))
        except xgb.core.XGBoostError as error:
            raise CorruptData("XGBoost can't read the model; fetch the artifact again") from error
        return BoostedRounds(booster, content, width, restored_number(state, "prior"), params_of(state))


def boost(base: BoostingBase, params: Params, seed: int, stop: Sample | None = None) -> xgb.Booster:
    """New rounds on `base.margin`, up to the best one on `stop` if it has rows.

    The base score of .5 adds nothing: the predicted margin is that of the rounds alone.
    """
    import xgboost as xgb

    settings = {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "tree_method": "hist",
        "nthread": 1,
        "seed": seed,
        "eta": params["rate"],
        "max_depth": int(params["depth"]),
        "min_child_weight": params["child_weight"],
        "lambda": params["l2"],
        "colsample_bynode": params["columns"],
        "subsample": params["subsample"],
        "verbosity": 0,
    }
    training, rounds = matrix(base.sample, base.margin), int(params["rounds"])
    if stop is None or len(stop.rows) == 0:
        return xgb.train(settings, training, rounds)
    watched = matrix(stop, initial_margin(stop, base.prior))
    booster = xgb.train(
        settings,
        training,
        rounds,
        evals=[(watched, "stop")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    best = booster[: booster.best_iteration + 1]
    best.set_attr(best_iteration=None, best_score=None)
    return best


def matrix(sample: Sample, margin: Floats) -> xgb.DMatrix:
    """The sample as a DMatrix, with `margin` as its base margin."""
    import xgboost as xgb

    return xgb.DMatrix(sample.features, sample.labels, weight=sample.weight, base_margin=margin, nthread=1)
