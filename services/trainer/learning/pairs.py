"""The evidence of a session: each model that may be champion after it against those in force, on bars none has seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.decisions import evidence
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.port import Floats
from services.trainer.learning.context import Context
from services.trainer.learning.inputs import ScoredModel
from services.trainer.learning.outcome import ScoredPair
from services.trainer.learning.windows import Rows

NEW_MODEL = ""


@dataclass(frozen=True, eq=False)
class Runner:
    """`knows`: the last moment that its fits or its patterns know of, epoch seconds UTC."""

    name: str
    probabilities: Floats
    knows: int


def pairs(
    context: Context, new: ModelFile, fit_end_label_time: int
) -> tuple[tuple[ScoredPair, ...], tuple[ScoredPair, ...]]:
    """The new model and each contender against the lineage's champion; all of these against the symbol's best.

    Where the symbol's best is of this very lineage, it is the champion, and nothing is left to be compared with it.
    """
    inputs = context.inputs
    challengers = (
        _runner(context, NEW_MODEL, new, fit_end_label_time),
        *(opened(context, contender) for contender in inputs.contenders),
    )
    champion = opened(context, inputs.champion) if inputs.champion else None
    own = tuple(_pair(context, champion, each) for each in challengers) if champion else ()
    if inputs.symbol_best is None or (champion and champion.name == inputs.symbol_best.name):
        return own, ()
    best = opened(context, inputs.symbol_best)
    rivals = (*challengers, champion) if champion else challengers
    return own, tuple(_pair(context, best, each) for each in rivals)


def opened(context: Context, scored: ScoredModel) -> Runner:
    """A recorded model, with what it says of the session's bars."""
    return _runner(context, scored.name, context.open(scored), scored.fit_end_label_time)


def unseen_by_both(context: Context, champion: Runner, contender: Runner) -> Rows:
    """All labelled bars after the later of their training ends; none that a pattern of theirs knows."""
    after = max(champion.knows, contender.knows)
    rows = np.arange(context.windows.training.start, context.windows.holdout.stop)
    return rows[context.times[rows] > after]


def _runner(context: Context, name: str, model: ModelFile, fit_end_label_time: int) -> Runner:
    knows = max((fit_end_label_time, *(pattern.evidence_end for pattern in model.patterns)))
    return Runner(name, context.probabilities(model), knows)


def _pair(context: Context, champion: Runner, contender: Runner) -> ScoredPair:
    rows = unseen_by_both(context, champion, contender)
    packed = evidence.pack(
        champion.probabilities[rows], contender.probabilities[rows], context.y[rows], context.times[rows]
    )
    return ScoredPair(champion.name, contender.name, len(rows), packed)
