"""The two candidates of a session: the parent's function carried on (transfer), and a new one (scratch).

Both end in a head that was fitted on margins of rows that the fitted part had not seen. Each is first fitted without
the choose window, to be compared there; only the chosen one is fitted on all rows before the holdout, its head kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ratchet.proof.scores import brier
from services.trainer.models.function import Function, Link
from services.trainer.models.head import fit_head
from services.trainer.models.port import MAX_STEP, Family, Fitted, Floats
from services.trainer.windows import Rows, Windows

FULL_ROWS = 250
RECALIBRATION_ROWS = 60
CLASS_ROWS = 20
CHOOSE_ROWS = 60
NEW_PART = 0.6
TOWARDS_PARENT = 5.0
TOO_FEW = "too few unseen rows"
DESCRIPTIONS = {"extend": "extended", "recalibrate": "recalibrated", "parent": "unchanged"}


@dataclass(frozen=True, eq=False)
class Material:
    """What both candidates are made of: X float64[n, k] under `columns`, and labels y float64[n], NaN where unknown."""

    X: Floats
    y: Floats
    columns: tuple[str, ...]
    windows: Windows
    family: Family
    seed: int


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate as it is compared: `function` knows nothing of the choose window.

    `honest` was not fitted on `honest_rows` (at most its head was): importance is measured there.
    """

    description: str
    function: Function
    tune_score: float | None
    step: int
    params: Mapping[str, float]
    honest: Function
    honest_rows: Rows


def steps_to_try(sessions: int, parent_step: int | None) -> tuple[int, ...]:
    """The complexity step of this session and the earlier ones that tune may prefer, in order."""
    due = min(MAX_STEP, sessions + 1)
    return tuple(sorted({1, due, max(1, due - 1), min(due, parent_step or 1)}))


def scratch_trial(material: Material, steps: Sequence[int]) -> Trial:
    """A new model of the step that does best on tune (the earlier one of equals)."""
    windows, y = material.windows, material.y
    tune = windows.tune.rows()
    trained = windows.training.rows()
    attempts: list[tuple[float, int, Function]] = []
    for step in steps:
        part = _fit(material, trained, material.family.params(step))
        head = fit_head(part.margin(material.X[tune])[:, None], y[tune], (0.0,))
        link = Link(len(material.columns), part, a=0.0, b=head.slopes[0], c=head.offset)
        function = Function(material.columns, (link,))
        attempts.append((brier(function.probability(material.X[tune]), y[tune]), step, function))
    score, step, honest = min(attempts, key=lambda attempt: attempt[:2])
    params = material.family.params(step)
    compared = _refit(material, windows.before(windows.choose.start), params, honest)
    rows = np.concatenate([tune, windows.choose.rows()])
    return Trial(f"new, complexity step {step}", compared, score, step, params, honest, rows)


def scratch_final(material: Material, trial: Trial) -> Function:
    """The candidate fitted on all rows before the holdout, with its head."""
    rows = material.windows.before(material.windows.holdout.start)
    return _refit(material, rows, trial.params, trial.honest)


def _fit(material: Material, rows: Rows, params: Mapping[str, float]) -> Fitted:
    return material.family.fit(material.X[rows], material.y[rows], params, material.seed)


def _refit(material: Material, rows: Rows, params: Mapping[str, float], like: Function) -> Function:
    """A function of one link, fitted on `rows`, with the head of `like`."""
    return Function(like.columns, (replace(like.links[0], fitted=_fit(material, rows, params)),))


@dataclass(frozen=True, eq=False)
class Parent:
    """The lineage's champion; `unseen` marks the bars that it has not been fitted on, bool[n]."""

    name: str
    function: Function
    unseen: NDArray[np.bool_]
    step: int
    params: Mapping[str, float]


def transfer_skipped(material: Material, parent: Parent) -> str:
    """Why the parent's function is not carried on; "" when it is."""
    return TOO_FEW if _recipe(material, _before_holdout(material, parent)) == "parent" else ""


def transfer_trial(material: Material, parent: Parent) -> Trial:
    """The parent carried on with what it has not seen before the choose window.

    Where that is too little to learn from, the parent itself stands in for the candidate in the comparison.
    """
    windows = material.windows
    rows = _unseen(parent, windows.before(windows.choose.start))
    recipe = _recipe(material, rows)
    function, head_rows = _carry_on(material, parent, rows, recipe)
    tune_score = brier(function.probability(material.X[head_rows]), material.y[head_rows]) if len(head_rows) else None
    honest_rows = _unseen(parent, windows.choose.rows())
    description = f"{DESCRIPTIONS[_recipe(material, _before_holdout(material, parent))]} {parent.name}"
    return Trial(description, function, tune_score, parent.step, parent.params, function, honest_rows)


def transfer_final(material: Material, parent: Parent) -> Function:
    """The parent carried on with all that it has not seen before the holdout."""
    rows = _before_holdout(material, parent)
    return _carry_on(material, parent, rows, _recipe(material, rows))[0]


def _before_holdout(material: Material, parent: Parent) -> Rows:
    return _unseen(parent, material.windows.before(material.windows.holdout.start))


def _unseen(parent: Parent, rows: Rows) -> Rows:
    return rows[parent.unseen[rows]]


def _recipe(material: Material, rows: Rows) -> str:
    """extend: a new part and a head; recalibrate: a head alone; parent: nothing can be learned."""
    ones = int(np.sum(material.y[rows]))
    if len(rows) < RECALIBRATION_ROWS or min(ones, len(rows) - ones) < CLASS_ROWS:
        return "parent"
    return "extend" if len(rows) >= FULL_ROWS else "recalibrate"


def _carry_on(material: Material, parent: Parent, rows: Rows, recipe: str) -> tuple[Function, Rows]:
    """The lengthened function, and the rows that its head was fitted on."""
    X, y, width = material.X, material.y, len(material.columns)
    before = parent.function.margin
    if recipe == "parent":
        return parent.function.extended(material.columns, Link(width, None, 1.0, 0.0, 0.0)), rows[:0]
    if recipe == "recalibrate":
        head = fit_head(before(X[rows])[:, None], y[rows], (1.0,), TOWARDS_PARENT)
        link = Link(width, None, head.slopes[0], 0.0, head.offset)
        return parent.function.extended(material.columns, link), rows
    rest = rows[int(NEW_PART * len(rows)) :]
    first = rows[rows + material.windows.horizon < rest[0]]
    part = material.family.fit(X[first], y[first], parent.params, material.seed)
    margins = np.column_stack([before(X[rest]), part.margin(X[rest])])
    head = fit_head(margins, y[rest], (1.0, 0.0), TOWARDS_PARENT)
    refitted = material.family.fit(X[rows], y[rows], parent.params, material.seed)
    link = Link(width, refitted, head.slopes[0], head.slopes[1], head.offset)
    return parent.function.extended(material.columns, link), rest
