"""Why a new model may not be better: measured when its own evidence does not pass the gate. The registry advises."""

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
from services.trainer.learning.candidates import Material
from services.trainer.learning.context import Context
from services.trainer.learning.outcome import Finding, ScoredPair
from services.trainer.learning.pairs import NEW_MODEL
from services.trainer.learning.selection import Chosen
from services.trainer.learning.windows import Rows

_PERMUTATIONS = 2


def measure(
    context: Context, parent: ModelFile | None, material: Material, chosen: Chosen, pairs: Sequence[ScoredPair]
) -> tuple[Finding, ...]:
    """Regime shift and overfit, where they are shown; nothing for a model that passes, or has no parent."""
    if parent is None or _passes(context, pairs):
        return ()
    return (*_regime_shift(context), *_overfit(context, parent, material, chosen))


def _passes(context: Context, pairs: Sequence[ScoredPair]) -> bool:
    own = (evidence.unpack(pair.evidence) for pair in pairs if pair.contender == NEW_MODEL)
    return any(judge(pair, context.inputs.horizon, context.inputs.policy).verdict == "PROMOTED" for pair in own)


def _regime_shift(context: Context) -> Iterator[Finding]:
    names = features.available(context.inputs.bars, features.CLASSIC)
    X, windows = context.table.part(names).values, context.windows
    generator = np.random.default_rng([context.inputs.seed, _PERMUTATIONS])
    before = windows.before(windows.holdout.start)
    shift = diagnosis.regime_shift(X[before], X[windows.holdout.rows()], generator)
    if shift is not None:
        yield Finding("regime_shift", shift.measurement)


def _overfit(context: Context, parent: ModelFile, material: Material, chosen: Chosen) -> Iterator[Finding]:
    """The challenger on choose is the one that did not know choose, on the bars that the parent did not know either."""
    held, honest = context.windows.holdout.rows(), chosen.trial.honest_rows
    choose = honest[honest >= context.windows.choose.start]
    scored = context.inputs.parent
    if scored is None or len(choose) == 0:
        return
    choose = choose[context.times[choose] > scored.fit_end_label_time]
    said = context.probabilities(parent)

    def losses(function: Function, rows: Rows) -> Floats:
        return (function.probability(material.X, rows) - context.y[rows]) ** 2

    gap = diagnosis.overfit(
        losses(chosen.function, held),
        losses(chosen.trial.function, choose),
        (said[held] - context.y[held]) ** 2,
        (said[choose] - context.y[choose]) ** 2,
        context.inputs.horizon,
    )
    if gap is not None:
        yield Finding("overfit", gap.measurement)
