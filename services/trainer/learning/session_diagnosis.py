"""Diagnoses of a new model that does not pass the gate. The registry adds advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ratchet.decisions import evidence
from ratchet.decisions.gate import judge
from ratchet.scoring import features
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.function import Function
from ratchet.scoring.models.port import Floats
from services.trainer.learning import diagnosis
from services.trainer.learning.candidates import CandidateData
from services.trainer.learning.context import Context
from services.trainer.learning.diagnosis import OverfitGap, RegimeShift
from services.trainer.learning.outcome import ScoredPair
from services.trainer.learning.pairs import NEW_MODEL
from services.trainer.learning.selection import SelectedCandidate
from services.trainer.learning.windows import Rows

_PERMUTATIONS = 2


def measure(
    context: Context,
    parent: ModelFile | None,
    data: CandidateData,
    selected: SelectedCandidate,
    pairs: Sequence[ScoredPair],
) -> tuple[RegimeShift | OverfitGap, ...]:
    """Regime shift and overfit, if shown; empty for a model that passes, or has no parent."""
    if parent is None or _passes(context, pairs):
        return ()
    return (*_regime_shift(context), *_overfit(context, parent, data, selected))


def _passes(context: Context, pairs: Sequence[ScoredPair]) -> bool:
    own = (evidence.unpack(pair.evidence) for pair in pairs if pair.contender == NEW_MODEL)
    return any(judge(pair, context.inputs.horizon, context.inputs.policy).verdict == "PROMOTED" for pair in own)


def _regime_shift(context: Context) -> Iterator[RegimeShift]:
    names = features.available(context.inputs.bars, features.CLASSIC)
    X, windows = context.table.select(names).values, context.windows
    generator = np.random.default_rng([context.inputs.seed, _PERMUTATIONS])
    before = windows.before(windows.holdout.start)
    shift = diagnosis.regime_shift(X[before], X[windows.holdout.rows()], generator)
    if shift is not None:
        yield shift


def _overfit(
    context: Context, parent: ModelFile, data: CandidateData, selected: SelectedCandidate
) -> Iterator[OverfitGap]:
    """Overfit of the challenger fitted without choose, on the bars of choose that the parent had not seen either."""
    holdout, validation_function = context.windows.holdout.rows(), selected.trial.validation_rows
    choose = validation_function[validation_function >= context.windows.choose.start]
    scored = context.inputs.parent
    if scored is None or len(choose) == 0:
        return
    choose = choose[context.times[choose] > scored.fit_end_label_time]
    forecast = context.probabilities(parent)

    def losses(function: Function, rows: Rows) -> Floats:
        return (function.probability(data.X, rows) - context.y[rows]) ** 2

    gap = diagnosis.overfit(
        losses(selected.function, holdout),
        losses(selected.trial.function, choose),
        (forecast[holdout] - context.y[holdout]) ** 2,
        (forecast[choose] - context.y[choose]) ** 2,
        context.inputs.horizon,
    )
    if gap is not None:
        yield gap
