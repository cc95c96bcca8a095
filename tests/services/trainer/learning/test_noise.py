"""Where there is nothing to learn, a first model says little more than the base rate."""

from __future__ import annotations

import numpy as np
import pytest

from bench import planted
from ratchet.scoring import targets
from ratchet.scoring.baselines import base_rate
from ratchet.scoring.columns import predict
from ratchet.scoring.data.bars import WARM_UP, Bars
from ratchet.scoring.models.artifact import load
from ratchet.scoring.models.families import FAMILIES
from services.trainer.learning.inputs import SessionInputs, SessionOptions
from services.trainer.learning.session import plan, run

SEEDS = range(3)
BARS = WARM_UP + 1200


def excess(bars: Bars, kind: str, seed: int) -> float:
    """The Brier score of a first model on its holdout less that of the base rate."""
    inputs = SessionInputs(
        bars.series, "direction", 1, kind, bars, seed=seed, options=SessionOptions(suggestions=1, mine=False)
    )
    outcome = run(inputs, lambda phase, done: None)
    rows = plan(bars, "direction", 1, None).windows.holdout.rows()
    y = targets.labels("direction", bars, 1)
    p, base = predict(load(outcome.artifact), bars), base_rate(y, 1)
    return float(np.mean((p[rows] - y[rows]) ** 2 - (base[rows] - y[rows]) ** 2))


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow if kind in ("lstm", "gradient-boosting") else ()) for kind in FAMILIES],
)
def test_on_noise_a_first_model_is_hardly_worse_than_the_base_rate(kind: str) -> None:
    found = [excess(planted.series(seed, rules=0)[0].head(BARS), kind, seed) for seed in SEEDS]
    assert np.mean(found) < 0.003


def test_what_is_planted_is_found_by_the_same_measure() -> None:
    found = [excess(planted.series(seed, rules=3)[0].head(2200), "xgboost", seed) for seed in (1, 2)]
    assert np.mean(found) < -0.005
