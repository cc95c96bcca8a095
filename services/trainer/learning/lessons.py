"""What a session learns besides its model: new rules, new evidence for known ones, and where the parent was wrong.

Rules see only the rows before tune, so that what they teach may enter later models.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.trainer import features
from services.trainer.learning import error_analysis
from services.trainer.learning.context import Context
from services.trainer.learning.outcome import ErrorSlice, PatternUpdate
from services.trainer.mining.mine import Mined, MiningRows, mine
from services.trainer.mining.test import evidence_of
from services.trainer.models.artifact import ModelFile


def mined(context: Context) -> Mined:
    """A round of mining on the rows before tune."""
    inputs, rows = context.inputs, context.windows.training.rows()
    mining_rows = MiningRows(
        context.table.values[rows],
        context.table.names,
        context.y[rows],
        context.times[rows[0] : rows[-1] + 1 + inputs.horizon],
    )
    known = (*inputs.tested_rules, *(pattern.id for pattern in inputs.patterns))
    return mine(mining_rows, inputs.series, inputs.task, features.FEATURE_KIND, known, inputs.mined_through)


def updates(context: Context) -> Iterator[PatternUpdate]:
    """Each known pattern, retired ones too, on the rows before tune whose labels came after its last evidence."""
    rows, horizon = context.windows.training.rows(), context.inputs.horizon
    names = context.table.names
    for pattern in context.inputs.patterns:
        fresh = rows[context.times[rows + horizon] > pattern.evidence_end]
        if len(fresh) and set(pattern.rule.features) <= set(names):
            times = context.times[fresh[0] : fresh[-1] + 1 + horizon]
            found = evidence_of(pattern.rule, context.table.values[fresh], names, context.y[fresh], times)
            yield PatternUpdate(pattern.id, found)


def parent_errors(context: Context, parent: ModelFile | None) -> tuple[ErrorSlice, ...]:
    """Where the parent was wrong on rows that it had not seen, before this holdout; nothing without such rows."""
    scored = context.inputs.parent
    if parent is None or scored is None:
        return ()
    rows = context.windows.before(context.windows.holdout.start)
    rows = rows[context.times[rows] > scored.fit_end_label_time]
    if len(rows) == 0:
        return ()
    regimes = context.table.matrix(error_analysis.REGIMES, ())[rows]
    return error_analysis.analyse(
        context.probabilities(parent)[rows],
        context.y[rows],
        context.times[rows],
        dict(zip(error_analysis.REGIMES, regimes.T, strict=True)),
        context.inputs.horizon,
    )
