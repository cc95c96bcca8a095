"""The evidence of a session: the new model and the contenders, each against the champions, on bars none has seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.proof import evidence
from services.trainer.learning.context import Context
from services.trainer.learning.inputs import ScoredModel
from services.trainer.learning.outcome import ScoredPair
from services.trainer.models.artifact import ModelFile
from services.trainer.models.port import Floats

NEW_MODEL = ""


@dataclass(frozen=True, eq=False)
class _Runner:
    """`knows`: the last moment that its fits or its patterns know of, epoch seconds UTC."""

    name: str
    probabilities: Floats
    knows: int


def pairs(
    context: Context, new: ModelFile, fit_end_label_time: int
) -> tuple[tuple[ScoredPair, ...], tuple[ScoredPair, ...]]:
    """The new model and each contender against the lineage's champion, and against the symbol's best."""
    challengers = (
        _runner(context, NEW_MODEL, new, fit_end_label_time),
        *(_opened(context, contender) for contender in context.inputs.contenders),
    )

    def against(champion: ScoredModel | None) -> tuple[ScoredPair, ...]:
        if champion is None:
            return ()
        opponent = _opened(context, champion)
        return tuple(_pair(context, opponent, each) for each in challengers if each.name != opponent.name)

    return against(context.inputs.parent), against(context.inputs.symbol_best)


def _opened(context: Context, scored: ScoredModel) -> _Runner:
    return _runner(context, scored.name, context.open(scored), scored.fit_end_label_time)


def _runner(context: Context, name: str, model: ModelFile, fit_end_label_time: int) -> _Runner:
    knows = max((fit_end_label_time, *(pattern.evidence_end for pattern in model.patterns)))
    return _Runner(name, context.probabilities(model), knows)


def _pair(context: Context, champion: _Runner, contender: _Runner) -> ScoredPair:
    """Both on all labelled bars after the later of their training ends; none that a pattern of theirs knows."""
    after = max(champion.knows, contender.knows)
    rows = np.arange(context.windows.training.start, context.windows.holdout.stop)
    rows = rows[context.times[rows] > after]
    packed = evidence.pack(
        champion.probabilities[rows], contender.probabilities[rows], context.y[rows], context.times[rows]
    )
    return ScoredPair(champion.name, contender.name, len(rows), packed)
