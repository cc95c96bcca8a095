"""Evaluation of a model on the holdout, beside the baselines on the same bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ratchet.names import SKILL_BASELINES
from ratchet.scoring.models.port import Floats
from ratchet.statistics.scores import UNDEFINED, Interval, accuracy, auc_interval, defined, mean_difference
from services.trainer.learning.candidates import CandidateData, Trial
from services.trainer.learning.outcome import BaselineReport, Metrics
from services.trainer.learning.scratch import fit_without_columns


def metrics(p: Floats, y: Floats, horizon: int) -> Metrics:
    """Scores of probabilities p for labels y, both float64[n]; the log loss is in nats.

    All are nan on a degenerate window.
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


def compare_baselines(p: Floats, y: Floats, others: Mapping[str, Floats], horizon: int) -> tuple[BaselineReport, ...]:
    """Metrics of each baseline and the model's gain over it: probabilities p, labels y."""
    loss = (p - y) ** 2

    def gain(other: Floats) -> Interval:
        return mean_difference((other - y) ** 2 - loss, horizon) if defined(y) else UNDEFINED

    return tuple(BaselineReport(name, metrics(other, y, horizon), gain(other)) for name, other in others.items())


def patterns_worth(data: CandidateData, scratch: Trial, columns: frozenset[str]) -> Interval | None:
    """Value of `columns`, the columns from patterns, to the new model.

    Brier loss on the holdout without them less the loss with them, paired; both fitted on training, calibrated on tune.
    None if the model reads none of them, or the holdout is degenerate.
    """
    places = frozenset(place for place in data.read_columns if data.columns[place] in columns)
    if not places:
        return None
    held = data.windows.holdout.rows()
    if not defined(data.y[held]):
        return None
    y, bare = data.y[held], fit_without_columns(data, scratch, places)
    loss = (scratch.validation_function.probability(data.X, held) - y) ** 2
    return mean_difference((bare.probability(data.X, held) - y) ** 2 - loss, data.windows.horizon)


def skill_shown(reports: Iterable[BaselineReport]) -> bool:
    """Whether the model beats each of SKILL_BASELINES with an interval above 0."""
    gains = {report.name: report.gain for report in reports}
    return all(name in gains and above_zero(gains[name]) for name in SKILL_BASELINES)


def above_zero(interval: Interval) -> bool:
    """Whether the interval is known and lies above 0."""
    return interval.low > 0.0
