"""The model families that can be trained; a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from ratchet.names import MODEL_TYPES, ModelType, one_of
from services.trainer.models import lstm
from services.trainer.models.gradient_boosting import GradientBoosting
from services.trainer.models.logistic import Logistic, har
from services.trainer.models.lstm import Lstm
from services.trainer.models.port import Family
from services.trainer.models.random_forest import RandomForest
from services.trainer.models.xgboost import XGBoost

FAMILIES: dict[ModelType, Family] = {
    "har": har(),
    "random-forest": RandomForest(),
    "gradient-boosting": GradientBoosting(),
    "xgboost": XGBoost(),
    "lstm": Lstm(),
    "logistic": Logistic(),
}

_REQUIREMENTS: dict[ModelType, Callable[[], None]] = {"lstm": lstm.require}


def family(name: str) -> Family:
    """The family of that name; InvalidInput for another."""
    return FAMILIES[one_of("model type", name, MODEL_TYPES)]


def require(name: ModelType) -> None:
    """PreconditionFailed, with what to install, where a library that fitting this type needs is not there."""
    if name in _REQUIREMENTS:
        _REQUIREMENTS[name]()
