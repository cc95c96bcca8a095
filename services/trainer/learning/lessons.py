"""Lessons of a session besides its model: new rules, new evidence of known patterns, and the parent's errors.

Mining uses only the rows before tune, so that its patterns may enter later models.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ratchet.scoring import features
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.port import Floats
from ratchet.statistics.scores import mean_difference
from services.trainer.learning import error_analysis
from services.trainer.learning.candidates import RowWeights
from services.trainer.learning.context import Context
from services.trainer.learning.inputs import IN_FORCE
from services.trainer.learning.outcome import ErrorSlice, PatternUpdate
from services.trainer.learning.windows import Rows
from services.trainer.mining.mine import MiningData, MiningResult, mine
from services.trainer.mining.test import rule_evidence

MIN_ROWS = 60
MIN_SLICE_ROWS = 20
BIASED_ROW_WEIGHT = 2.0


def mine_patterns(context: Context) -> MiningResult:
    """Mines the rows before tune."""
    inputs, rows, library = context.inputs, context.windows.training.rows(), context.library
    mining_rows = MiningData(
        library.values[rows],
        library.names,
        context.y[rows],
        context.times[rows[0] : rows[-1] + 1 + inputs.horizon],
    )
    if not inputs.options.mine:
        return MiningResult((), 0, 0, inputs.mined_through, "not_asked_for")
    tested_before = (*inputs.tested_rules, *(pattern.id for pattern in inputs.patterns))
    return mine(
        mining_rows,
        inputs.series,
        inputs.task,
        features.FEATURE_KIND,
        tested_before,
        inputs.mined_through,
        preferred=[name for name in inputs.important if name in library.names],
        known=[pattern.rule for pattern in inputs.patterns if pattern.state in IN_FORCE],
        settled=[*inputs.refuted, *(pattern.rule for pattern in inputs.patterns if pattern.state not in IN_FORCE)],
        offered=inputs.offered,
    )


def pattern_updates(context: Context) -> Iterator[PatternUpdate]:
    """New evidence of each known pattern, retired ones included: the rows before tune with labels after its last
    evidence."""
    rows, horizon = context.windows.training.rows(), context.inputs.horizon
    names = context.table.names
    for pattern in context.inputs.patterns:
        fresh = rows[context.times[rows + horizon] > pattern.evidence_end]
        if len(fresh) and set(pattern.rule.features) <= set(names):
            times = context.times[fresh[0] : fresh[-1] + 1 + horizon]
            found = rule_evidence(pattern.rule, context.table.values[fresh], names, context.y[fresh], times)
            yield PatternUpdate(pattern.id, found)


def parent_errors(context: Context, parent: ModelFile | None) -> tuple[ErrorSlice, ...]:
    """Error analysis of the parent on unseen rows before this holdout; empty without such rows."""
    rows = _unseen(context, context.windows.before(context.windows.holdout.start))
    if parent is None or len(rows) == 0:
        return ()
    return error_analysis.analyse(
        context.probabilities(parent)[rows],
        context.y[rows],
        context.inputs.bars.local_time[rows],
        {name: values[rows] for name, values in _regimes(context).items()},
        context.inputs.horizon,
    )


def row_weights(context: Context, parent: ModelFile | None) -> RowWeights | None:
    """Double weight for rows in slices with a significant bias of the parent, as known before tune."""
    rows = _unseen(context, context.windows.training.rows())
    if parent is None or len(rows) < MIN_ROWS:
        return None
    p, y = context.probabilities(parent), context.y
    weight, biased = np.ones(len(p)), list[ErrorSlice]()
    for by, name, inside in error_analysis.slices(p, context.inputs.bars.local_time, _regimes(context)):
        erred = rows[inside[rows]]
        bias = mean_difference((y - p)[erred], context.inputs.horizon)
        if len(erred) >= MIN_SLICE_ROWS and bias.excludes(0.0):
            weight[inside] = BIASED_ROW_WEIGHT
            biased.append(ErrorSlice(by, name, len(erred), bias))
    return RowWeights(weight, tuple(biased)) if biased else None


def _unseen(context: Context, rows: Rows) -> Rows:
    """The rows after the parent's fit end; all without a parent."""
    parent = context.inputs.parent
    return rows if parent is None else rows[context.times[rows] > parent.fit_end_label_time]


def _regimes(context: Context) -> dict[str, Floats]:
    regimes = features.available(context.inputs.bars, error_analysis.REGIMES)
    return dict(zip(regimes, context.table.select(regimes).values.T, strict=True))
