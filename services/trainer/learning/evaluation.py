"""How good a model is on the holdout, and what the simple alternatives score on the same bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ratchet.names import SKILL_BASELINES
from ratchet.scoring.models.port import Floats
from ratchet.statistics.scores import UNDEFINED, Interval, accuracy, auc_interval, defined, mean_difference
from services.trainer.learning.candidates import Material, Trial
from services.trainer.learning.outcome import BaselineReport, Metrics
from services.trainer.learning.scratch import without


def metrics(p: Floats, y: Floats, horizon: int) -> Metrics:
    """Scores of probabilities p for labels y, both float64[n]; the log loss is in nats.

    None is defined on a degenerate window: all are nan.
    """
    if not defined(y):
        return Metrics(len(y), UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED)
    inside = np.clip(p, 1e-6, 1.0 - 1e-6)
    log_losses = -(y * np.log(inside) + (1.0 - y) * np.log1p(-inside))
    return Metrics(
        len(y),
        mean_difference((p - y) ** 2, horizon),
        accuracy(p, y),
        auc_interval(p, y, horizon),
        mean_difference(log_losses, horizon),
    )


def compare(p: Floats, y: Floats, others: Mapping[str, Floats], horizon: int) -> tuple[BaselineReport, ...]:
    """Each baseline beside the model's probabilities p, on the same labels y."""
    loss = (p - y) ** 2

    def gain(other: Floats) -> Interval:
        return mean_difference((other - y) ** 2 - loss, horizon) if defined(y) else UNDEFINED

    return tuple(BaselineReport(name, metrics(other, y, horizon), gain(other)) for name, other in others.items())


def patterns_worth(material: Material, scratch: Trial, columns: frozenset[str]) -> Interval | None:
    """What `columns`, which patterns brought in, are worth to the new model.

    Brier loss on the holdout without them less the loss with them, paired; both fitted on training, calibrated on tune.
    None where it reads none of them, or the holdout is degenerate.
    """
    places = frozenset(place for place in material.read if material.columns[place] in columns)
    if not places:
        return None
    held = material.windows.holdout.rows()
    if not defined(material.y[held]):
        return None
    y, bare = material.y[held], without(material, scratch, places)
    loss = (scratch.honest.probability(material.X, held) - y) ** 2
    return mean_difference((bare.probability(material.X, held) - y) ** 2 - loss, material.windows.horizon)


def skill_shown(reports: Iterable[BaselineReport]) -> bool:
    """Whether the model beats each of SKILL_BASELINES with an interval above 0."""
    gains = {report.name: report.gain for report in reports}
    return all(name in gains and above_zero(gains[name]) for name in SKILL_BASELINES)


def above_zero(interval: Interval) -> bool:
    """Whether the interval is known and lies above 0."""
    return interval.low > 0.0
