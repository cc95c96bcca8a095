"""The model families that can be trained; a new one is one file and one line here."""

from __future__ import annotations

from ratchet.errors import NotBuilt
from services.trainer.models.logistic import Logistic
from services.trainer.models.port import Family
from services.trainer.models.random_forest import RandomForest

FAMILIES: dict[str, Family] = {
    "random-forest": RandomForest(),
    "logistic": Logistic(),
}


def family(name: str) -> Family:
    """The family of that name; NotBuilt for one that can't be trained yet."""
    if name not in FAMILIES:
        raise NotBuilt(f"model type {name} can't be trained yet; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
