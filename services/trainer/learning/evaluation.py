"""How good a model is on the holdout, and what the simple alternatives score on the same bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ratchet.names import ModelType
from ratchet.proof.scores import Interval, accuracy, auc_interval, mean_difference
from services.trainer.learning.candidates import Material, Trial
from services.trainer.learning.outcome import BaselineReport, Metrics
from services.trainer.learning.scratch import scratch_final, scratch_trial, without
from services.trainer.learning.study import steps
from services.trainer.models.families import FAMILIES
from services.trainer.models.port import Floats

MAJORITY, PERSISTENCE = "majority", "persistence"
LOGISTIC: ModelType = "logistic"
LOGISTIC_STEPS = (1, 3, 5)


def metrics(p: Floats, y: Floats, horizon: int) -> Metrics:
    """Scores of probabilities p for labels y, both float64[n]; the log loss is in nats."""
    inside = np.clip(p, 1e-6, 1.0 - 1e-6)
    log_losses = -(y * np.log(inside) + (1.0 - y) * np.log1p(-inside))
    return Metrics(
        len(y),
        mean_difference((p - y) ** 2, horizon),
        accuracy(p, y),
        auc_interval(p, y, horizon),
        mean_difference(log_losses, horizon),
    )


def baselines(material: Material, last_label: Floats) -> dict[str, Floats]:
    """The holdout probabilities of each baseline, fitted on the rows before the holdout.

    majority: the label's frequency; persistence: its frequency after the last known label (`last_label` float64[n]);
    logistic: a ridge regression on the same columns, trained and calibrated as any model is.
    """
    windows, y = material.windows, material.y
    fitted, held = windows.before(windows.holdout.start), windows.holdout.rows()
    after = {last: _frequency(y[fitted[last_label[fitted] == last]]) for last in (0.0, 1.0)}
    majority = _frequency(y[fitted])
    simple = replace(material, family=FAMILIES[LOGISTIC])
    logistic = scratch_final(simple, scratch_trial(simple, steps(simple.family, *LOGISTIC_STEPS)))
    return {
        MAJORITY: np.full(len(held), majority),
        PERSISTENCE: np.array([after.get(float(last), majority) for last in last_label[held]]),
        LOGISTIC: logistic.probability(material.X, held),
    }


def compare(p: Floats, y: Floats, others: dict[str, Floats], horizon: int) -> tuple[BaselineReport, ...]:
    """Each baseline beside the model's probabilities p, on the same labels y."""
    loss = (p - y) ** 2
    return tuple(
        BaselineReport(name, metrics(other, y, horizon), mean_difference((other - y) ** 2 - loss, horizon))
        for name, other in others.items()
    )


def patterns_worth(material: Material, scratch: Trial, columns: frozenset[str]) -> Interval | None:
    """What `columns`, which patterns brought in, are worth to the new model; None where it reads none of them.

    Brier loss on the holdout without them less the loss with them, paired; both fitted on training, heads on tune.
    """
    places = frozenset(place for place in material.read if material.columns[place] in columns)
    if not places:
        return None
    held = material.windows.holdout.rows()
    y, bare = material.y[held], without(material, scratch, places)
    loss = (scratch.honest.probability(material.X, held) - y) ** 2
    return mean_difference((bare.probability(material.X, held) - y) ** 2 - loss, material.windows.horizon)


def skill_shown(model_type: str, reports: tuple[BaselineReport, ...]) -> bool:
    """Whether the model beats its best baseline with an interval above 0.

    A logistic model is not asked to beat the logistic baseline, which is the same thing.
    """
    rivals = [report for report in reports if report.name != model_type]
    best = min(rivals, key=lambda report: report.metrics.brier.value)
    return above_zero(best.gain)


def above_zero(interval: Interval) -> bool:
    """Whether the interval is known and lies above 0."""
    return interval.low > 0.0


def _frequency(y: Floats) -> float:
    """The smoothed share of ones (Laplace's rule): never 0 or 1."""
    return (float(np.sum(y)) + 1.0) / (len(y) + 2.0)
