"""The candidate by transfer: the parent's function, extended on rows unseen by the parent.

From 250 unseen rows: a new part and a calibration. 60 to 249: a calibration alone, which adjusts the parent's. Fewer,
or a rare class: the parent stays unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.models.calibration import fit_calibration
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Fitted, TransferStart
from ratchet.statistics.scores import defined
from services.trainer.learning.candidates import CandidateData, Trial
from services.trainer.learning.outcome import CandidateChange, Correction
from services.trainer.learning.study import Setting
from services.trainer.learning.windows import Rows

FULL_ROWS = 250
RECALIBRATION_ROWS = 60
NEW_PART = 0.6
TOWARDS_PARENT, NEW_PART_RIDGE = 50.0, 5.0
"""Penalties on the slopes of the parent's margin and of the new part's, towards 1 and 0.

On AAPL, IBM and WM, range and volatility, the newest versions of twelve sessions scored .2082 (logistic) and .2078
(xgboost) with 5 on both, .2076 and .2052 with 50 on the parent's.
"""


@dataclass(frozen=True, eq=False)
class Parent:
    """The lineage's champion; `unseen` marks the bars after its fits, bool[n].

    `setting`: its complexity step and hyperparameters.
    """

    name: str
    function: Function
    unseen: NDArray[np.bool_]
    setting: Setting


def transfer_applies(data: CandidateData, parent: Parent) -> bool:
    """Whether there are enough unseen rows, and of both classes, to change the parent."""
    return _transfer_mode(data, _before_holdout(data, parent)) != "unchanged"


def transfer_trial(data: CandidateData, parent: Parent, offered: Setting) -> Trial:
    """The parent extended on unseen rows before the choose window, a new part with the setting `offered`.

    With too few rows, the parent itself is the candidate in the comparison.
    """
    windows = data.windows
    rows = _unseen(parent, windows.before(windows.choose.start))
    mode = _transfer_mode(data, rows)
    function, calibration_rows = _extend(data, parent, rows, mode, offered)
    final = _transfer_mode(data, _before_holdout(data, parent))
    setting = offered if final == "extended" else parent.setting
    return Trial(
        final,
        function,
        data.score(function, calibration_rows) if len(calibration_rows) else None,
        setting.step,
        setting.params,
        function,
        _unseen(parent, windows.choose.rows()),
    )


def compare_offset(data: CandidateData, trial: Trial, rows: Rows) -> Trial:
    """Drops the offset of the trial's calibration (which corrects the parent's bias) if that scores better on
    `rows`."""
    offset = trial.function.links[-1].c
    if offset == 0.0 or len(rows) == 0:
        return trial
    plain = without_offset(trial.function)
    scores = data.score(trial.function, rows), data.score(plain, rows)
    correction = Correction(*scores, len(rows), offset=offset)
    function = trial.function if correction.applied else plain
    return replace(trial, function=function, validation_function=function, correction=correction)


def without_offset(function: Function) -> Function:
    return replace(function, links=(*function.links[:-1], replace(function.links[-1], c=0.0)))


def transfer_final(data: CandidateData, parent: Parent, trial: Trial) -> Function:
    """The parent extended on all unseen rows before the holdout, without an offset that did not help."""
    rows = _before_holdout(data, parent)
    setting = Setting(trial.step, trial.params)
    function, _ = _extend(data, parent, rows, _transfer_mode(data, rows), setting)
    helped = trial.correction is None or trial.correction.applied
    return function if helped else without_offset(function)


def _before_holdout(data: CandidateData, parent: Parent) -> Rows:
    return _unseen(parent, data.windows.before(data.windows.holdout.start))


def _unseen(parent: Parent, rows: Rows) -> Rows:
    return rows[parent.unseen[rows]]


def _transfer_mode(data: CandidateData, rows: Rows) -> CandidateChange:
    """extended: a new part and a calibration; recalibrated: a calibration alone; unchanged: too few rows."""
    if len(rows) < RECALIBRATION_ROWS or not defined(data.y[rows]):
        return "unchanged"
    return "extended" if len(rows) >= FULL_ROWS else "recalibrated"


def _extend(
    data: CandidateData, parent: Parent, rows: Rows, mode: CandidateChange, setting: Setting
) -> tuple[Function, Rows]:
    """The extended function, and the rows of its calibration fit."""
    X, y, columns = data.X, data.y, data.columns
    before = parent.function.margin
    if mode == "unchanged":
        return parent.function.extended(columns, Link((), None, 1.0, 0.0, 0.0)), rows[:0]
    if mode == "recalibrated":
        calibration = fit_calibration(before(X, rows)[:, None], y[rows], (1.0,), (TOWARDS_PARENT,))
        return parent.function.extended(columns, Link((), None, calibration.slopes[0], 0.0, calibration.offset)), rows
    rest = rows[int(NEW_PART * len(rows)) :]
    first = rows[rows + data.windows.horizon < rest[0]]
    part = _new_part(data, parent, first, setting)
    margins = np.column_stack([before(X, rest), part.margin(X[:, list(data.readable_columns)], rest)])
    calibration = fit_calibration(margins, y[rest], (1.0, 0.0), (TOWARDS_PARENT, NEW_PART_RIDGE))
    link = Link(
        data.readable_columns,
        _new_part(data, parent, rows, setting),
        calibration.slopes[0],
        calibration.slopes[1],
        calibration.offset,
    )
    return parent.function.extended(columns, link), rest


def _new_part(data: CandidateData, parent: Parent, rows: Rows, setting: Setting) -> Fitted:
    newest = parent.function.newest
    margin = parent.function.margin(data.X, rows)
    place = {column: index for index, column in enumerate(data.readable_columns)}
    reads = () if newest is None else tuple(place[column] for column in newest.reads)
    start = TransferStart(margin, None if newest is None else newest.fitted, reads)
    sample = data.sample(rows, data.readable_columns, start=parent.function.start)
    return data.family.fit(sample, setting.params, data.seed, start=start)
