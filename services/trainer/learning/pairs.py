"""Paired evidence of a session: each contender against the models in force, on bars out-of-sample for both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.decisions import evidence
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.port import Floats
from services.trainer.learning.context import Context
from services.trainer.learning.inputs import ReferenceModel
from services.trainer.learning.outcome import ScoredPair
from services.trainer.learning.windows import Rows

NEW_MODEL = ""


@dataclass(frozen=True, eq=False)
class ModelForecast:
    """Forecasts of a model. `knowledge_cutoff`: last market time in its fits and patterns, epoch seconds UTC."""

    name: str
    probabilities: Floats
    knowledge_cutoff: int


def paired_evidence(
    context: Context, new: ModelFile, fit_end_label_time: int
) -> tuple[tuple[ScoredPair, ...], tuple[ScoredPair, ...]]:
    """The new model and each contender against the lineage's champion; all of these against the symbol's best.

    If the symbol's best belongs to this lineage, it is the champion, and the second tuple is empty.
    """
    inputs = context.inputs
    challengers = (
        _forecast(context, NEW_MODEL, new, fit_end_label_time),
        *(recorded_forecast(context, contender) for contender in inputs.contenders),
    )
    champion = recorded_forecast(context, inputs.champion) if inputs.champion else None
    own = tuple(_pair(context, champion, each) for each in challengers) if champion else ()
    if inputs.symbol_best is None or (champion and champion.name == inputs.symbol_best.name):
        return own, ()
    best = recorded_forecast(context, inputs.symbol_best)
    rivals = (*challengers, champion) if champion else challengers
    return own, tuple(_pair(context, best, each) for each in rivals)


def recorded_forecast(context: Context, scored: ReferenceModel) -> ModelForecast:
    """Forecasts of a recorded model on the session's bars."""
    return _forecast(context, scored.name, context.open(scored), scored.fit_end_label_time)


def out_of_sample_rows(context: Context, champion: ModelForecast, contender: ModelForecast) -> Rows:
    """Labelled bars out-of-sample for both models: after the later of their knowledge cutoffs."""
    after = max(champion.knowledge_cutoff, contender.knowledge_cutoff)
    rows = np.arange(context.windows.training.start, context.windows.holdout.stop)
    return rows[context.times[rows] > after]


def _forecast(context: Context, name: str, model: ModelFile, fit_end_label_time: int) -> ModelForecast:
    knowledge_cutoff = max((fit_end_label_time, *(pattern.evidence_end for pattern in model.patterns)))
    return ModelForecast(name, context.probabilities(model), knowledge_cutoff)


def _pair(context: Context, champion: ModelForecast, contender: ModelForecast) -> ScoredPair:
    rows = out_of_sample_rows(context, champion, contender)
    packed = evidence.pack(
        champion.probabilities[rows], contender.probabilities[rows], context.y[rows], context.times[rows]
    )
    return ScoredPair(champion.name, contender.name, len(rows), packed)
