"""The model families that can be trained; a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from ratchet.names import MODEL_TYPES, ModelType, one_of
from ratchet.scoring.models import lstm
from ratchet.scoring.models.gradient_boosting import GradientBoosting
from ratchet.scoring.models.logistic import Logistic, har
from ratchet.scoring.models.lstm import Lstm
from ratchet.scoring.models.port import Family
from ratchet.scoring.models.random_forest import RandomForest
from ratchet.scoring.models.xgboost import XGBoost

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
    """PreconditionFailed, with the install command, if a library for this type is missing."""
    if name in _REQUIREMENTS:
        _REQUIREMENTS[name]()
