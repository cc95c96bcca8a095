"""The candidate by transfer: the parent's function, carried on with what the parent has not seen.

250 unseen rows and more: a new part and a head. 60 to 249: a head alone, which moves the parent's calibration. Fewer,
or a rare class: nothing can be learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.models.calibration import fit_head
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Fitted, Start
from ratchet.statistics.scores import defined
from services.trainer.learning.candidates import Material, Trial
from services.trainer.learning.outcome import Correction
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
TOO_FEW = "too few unseen rows"
DESCRIPTIONS = {"extend": "extended", "recalibrate": "recalibrated", "parent": "unchanged"}


@dataclass(frozen=True, eq=False)
class Parent:
    """The lineage's champion; `unseen` marks the bars that it has not been fitted on, bool[n].

    `setting`: the complexity step and hyperparameters that it was made with.
    """

    name: str
    function: Function
    unseen: NDArray[np.bool_]
    setting: Setting


def transfer_skipped(material: Material, parent: Parent) -> str:
    """Why the parent's function is not carried on; "" when it is."""
    return TOO_FEW if _recipe(material, _before_holdout(material, parent)) == "parent" else ""


def transfer_trial(material: Material, parent: Parent, offered: Setting) -> Trial:
    """The parent carried on with what it has not seen before the choose window, a new part with the setting `offered`.

    Where that is too little to learn from, the parent itself stands in for the candidate in the comparison.
    """
    windows = material.windows
    rows = _unseen(parent, windows.before(windows.choose.start))
    recipe = _recipe(material, rows)
    function, head_rows = _carry_on(material, parent, rows, recipe, offered)
    final = _recipe(material, _before_holdout(material, parent))
    setting = offered if final == "extend" else parent.setting
    return Trial(
        f"{DESCRIPTIONS[final]} {parent.name}",
        function,
        material.score(function, head_rows) if len(head_rows) else None,
        setting.step,
        setting.params,
        function,
        _unseen(parent, windows.choose.rows()),
    )


def offset_compared(material: Material, trial: Trial, rows: Rows) -> Trial:
    """The transfer, without the offset of its head (which corrects the parent's bias) if `rows` are better for that."""
    offset = trial.function.links[-1].c
    if offset == 0.0 or len(rows) == 0:
        return trial
    plain = without_offset(trial.function)
    scores = material.score(trial.function, rows), material.score(plain, rows)
    correction = Correction("offset", f"{offset:+.3f} added to the log-odds", *scores, len(rows))
    function = trial.function if correction.applied else plain
    return replace(trial, function=function, honest=function, correction=correction)


def without_offset(function: Function) -> Function:
    return replace(function, links=(*function.links[:-1], replace(function.links[-1], c=0.0)))


def transfer_final(material: Material, parent: Parent, trial: Trial) -> Function:
    """The parent carried on with all that it has not seen before the holdout, without an offset that did not help."""
    rows = _before_holdout(material, parent)
    setting = Setting(trial.step, trial.params)
    function, _ = _carry_on(material, parent, rows, _recipe(material, rows), setting)
    helped = trial.correction is None or trial.correction.applied
    return function if helped else without_offset(function)


def _before_holdout(material: Material, parent: Parent) -> Rows:
    return _unseen(parent, material.windows.before(material.windows.holdout.start))


def _unseen(parent: Parent, rows: Rows) -> Rows:
    return rows[parent.unseen[rows]]


def _recipe(material: Material, rows: Rows) -> str:
    """extend: a new part and a head; recalibrate: a head alone; parent: nothing can be learned."""
    if len(rows) < RECALIBRATION_ROWS or not defined(material.y[rows]):
        return "parent"
    return "extend" if len(rows) >= FULL_ROWS else "recalibrate"


def _carry_on(material: Material, parent: Parent, rows: Rows, recipe: str, setting: Setting) -> tuple[Function, Rows]:
    """The lengthened function, and the rows that its head was fitted on."""
    X, y, columns = material.X, material.y, material.columns
    before = parent.function.margin
    if recipe == "parent":
        return parent.function.extended(columns, Link((), None, 1.0, 0.0, 0.0)), rows[:0]
    if recipe == "recalibrate":
        head = fit_head(before(X, rows)[:, None], y[rows], (1.0,), (TOWARDS_PARENT,))
        return parent.function.extended(columns, Link((), None, head.slopes[0], 0.0, head.offset)), rows
    rest = rows[int(NEW_PART * len(rows)) :]
    first = rows[rows + material.windows.horizon < rest[0]]
    part = _new_part(material, parent, first, setting)
    margins = np.column_stack([before(X, rest), part.margin(X[:, list(material.all)], rest)])
    head = fit_head(margins, y[rest], (1.0, 0.0), (TOWARDS_PARENT, NEW_PART_RIDGE))
    link = Link(material.all, _new_part(material, parent, rows, setting), head.slopes[0], head.slopes[1], head.offset)
    return parent.function.extended(columns, link), rest


def _new_part(material: Material, parent: Parent, rows: Rows, setting: Setting) -> Fitted:
    newest = parent.function.newest
    margin = parent.function.margin(material.X, rows)
    place = {column: index for index, column in enumerate(material.all)}
    reads = () if newest is None else tuple(place[column] for column in newest.reads)
    start = Start(margin, None if newest is None else newest.fitted, reads)
    sample = material.sample(rows, material.all, start=parent.function.start)
    return material.family.fit(sample, setting.params, material.seed, start=start)
