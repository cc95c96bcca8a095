"""The two candidates of a session: the parent's function carried on (transfer), and a new one (scratch).

Both end in a head that was fitted on margins of rows that the fitted part had not seen. Each is first fitted without
the choose window, to be compared there; only the chosen one is fitted on all rows before the holdout. Its head is then
fitted on tune and choose: on 168 windows of AAPL, GOOG, IBM and MSFT that cost .2225 of Brier score on the holdout
against .2253 for the head of tune alone, which is drawn into the regime of its few bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ratchet.proof.scores import brier
from services.trainer.learning.outcome import Correction, TrialReport
from services.trainer.learning.study import Search, Setting, explore
from services.trainer.models.function import Function, Link
from services.trainer.models.head import Head, fit_head
from services.trainer.models.port import Family, Fitted, Floats, Params, Sample, Start
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
    """What both candidates are made of: X float64[n, k] under `columns`, and labels y float64[n], NaN where unknown.

    `reads`: the columns that a new model reads; None: all of them.
    """

    X: Floats
    y: Floats
    columns: tuple[str, ...]
    windows: Windows
    family: Family
    seed: int
    reads: tuple[int, ...] | None = None

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(range(len(self.columns)))

    @property
    def read(self) -> tuple[int, ...]:
        """The columns that a new model reads."""
        return self.all if self.reads is None else self.reads

    def score(self, function: Function, rows: Rows) -> float:
        """The Brier score on `rows`; nan without rows."""
        return brier(function.probability(self.X, rows), self.y[rows])


@dataclass(frozen=True, eq=False)
class Emphasis:
    """Rows that count more because the parent erred on their like: `weight` float64[n], in words, for the record."""

    weight: Floats
    description: str


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate as it is compared: `function` knows nothing of the choose window.

    `honest` was not fitted on `honest_rows` (at most its head was): importance is measured there. `emphasis`: the rows
    that counted more in its fits. `trials`: what its study tried.
    """

    description: str
    function: Function
    tune_score: float | None
    step: int
    params: Params
    honest: Function
    honest_rows: Rows
    emphasis: Emphasis | None = None
    trials: tuple[TrialReport, ...] = ()
    correction: Correction | None = None


@dataclass(frozen=True, eq=False)
class _Attempt:
    setting: Setting
    score: float
    function: Function

    @property
    def params(self) -> Params:
        """Those that it was fitted with: early stopping may have lowered its rounds."""
        part = self.function.links[0].fitted
        return self.setting.params if part is None else part.params


def scratch_trial(material: Material, search: Search, emphasis: Emphasis | None = None) -> Trial:
    """A new model of the setting that does best on tune (the earlier one of equals), rows weighted if that helps."""
    attempts: list[_Attempt] = []

    def score(setting: Setting) -> float:
        attempts.append(_attempt(material, setting))
        return attempts[-1].score

    explore(material.family, search, material.seed, score)
    best = min(attempts, key=lambda attempt: (attempt.score, attempt.setting.step))
    trials = tuple(TrialReport(each.setting.step, each.params, each.score) for each in attempts)
    tune, correction = material.windows.tune.rows(), None
    if emphasis is not None:
        weighted = _attempt(material, Setting(best.setting.step, best.params), emphasis)
        correction = Correction("weights", emphasis.description, weighted.score, best.score, len(tune))
        best, emphasis = (weighted, emphasis) if correction.applied else (best, None)
    return Trial(
        f"new, complexity step {best.setting.step}",
        _refit(material, material.windows.before(material.windows.choose.start), best.params, best.function, emphasis),
        best.score,
        best.setting.step,
        best.params,
        best.function,
        np.concatenate([tune, material.windows.choose.rows()]),
        emphasis,
        trials,
        correction,
    )


def scratch_final(material: Material, trial: Trial) -> Function:
    """The candidate fitted on all rows before the holdout, its head on what the honest fit says of tune and choose."""
    rows = material.windows.before(material.windows.holdout.start)
    link = trial.honest.links[0]
    head = _head(material, link.fitted, trial.honest_rows) if link.fitted else Head((link.b,), link.c)
    like = Function(trial.honest.columns, (replace(link, b=head.slopes[0], c=head.offset),))
    return _refit(material, rows, trial.params, like, trial.emphasis)


def without(material: Material, trial: Trial, columns: frozenset[int]) -> Function:
    """The honest function of `trial` as it would be without some columns: fitted on training, its head on tune."""
    bare = replace(material, reads=tuple(column for column in material.read if column not in columns))
    return _attempt(bare, Setting(trial.step, trial.params), trial.emphasis).function


def _attempt(material: Material, setting: Setting, emphasis: Emphasis | None = None) -> _Attempt:
    tune = material.windows.tune.rows()
    stop = _sample(material, tune, material.read)
    part = _fit(material, material.windows.training.rows(), setting.params, emphasis, stop)
    head = _head(material, part, tune)
    function = Function(material.columns, (Link(material.read, part, a=0.0, b=head.slopes[0], c=head.offset),))
    return _Attempt(setting, material.score(function, tune), function)


def _head(material: Material, part: Fitted, rows: Rows) -> Head:
    margins = part.margin(material.X[:, list(material.read)], rows)
    return fit_head(margins[:, None], material.y[rows], (0.0,))


def _refit(material: Material, rows: Rows, params: Params, like: Function, emphasis: Emphasis | None) -> Function:
    """A function of one link, fitted on `rows`, with the head of `like`."""
    return Function(like.columns, (replace(like.links[0], fitted=_fit(material, rows, params, emphasis)),))


def _fit(
    material: Material, rows: Rows, params: Params, emphasis: Emphasis | None, stop: Sample | None = None
) -> Fitted:
    weight = None if emphasis is None else emphasis.weight[rows]
    sample = _sample(material, rows, material.read, weight)
    return material.family.fit(sample, params, material.seed, stop=stop)


def _sample(material: Material, rows: Rows, reads: tuple[int, ...], weight: Floats | None = None) -> Sample:
    return Sample(material.X[:, list(reads)], material.y, rows, weight)


@dataclass(frozen=True, eq=False)
class Parent:
    """The lineage's champion; `unseen` marks the bars that it has not been fitted on, bool[n]."""

    name: str
    function: Function
    unseen: NDArray[np.bool_]
    step: int
    params: Mapping[str, float]

    @property
    def setting(self) -> Setting:
        return Setting(self.step, self.params)


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
    return Trial(
        f"{DESCRIPTIONS[_recipe(material, _before_holdout(material, parent))]} {parent.name}",
        function,
        material.score(function, head_rows) if len(head_rows) else None,
        parent.step,
        parent.params,
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
    function, _ = _carry_on(material, parent, rows, _recipe(material, rows))
    helped = trial.correction is None or trial.correction.applied
    return function if helped else without_offset(function)


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
    X, y, columns = material.X, material.y, material.columns
    before = parent.function.margin
    if recipe == "parent":
        return parent.function.extended(columns, Link((), None, 1.0, 0.0, 0.0)), rows[:0]
    if recipe == "recalibrate":
        head = fit_head(before(X, rows)[:, None], y[rows], (1.0,), TOWARDS_PARENT)
        return parent.function.extended(columns, Link((), None, head.slopes[0], 0.0, head.offset)), rows
    rest = rows[int(NEW_PART * len(rows)) :]
    first = rows[rows + material.windows.horizon < rest[0]]
    part = _new_part(material, parent, first)
    margins = np.column_stack([before(X, rest), part.margin(X, rest)])
    head = fit_head(margins, y[rest], (1.0, 0.0), TOWARDS_PARENT)
    link = Link(material.all, _new_part(material, parent, rows), head.slopes[0], head.slopes[1], head.offset)
    return parent.function.extended(columns, link), rest


def _new_part(material: Material, parent: Parent, rows: Rows) -> Fitted:
    newest = parent.function.newest
    margin = parent.function.margin(material.X, rows)
    start = Start(margin) if newest is None else Start(margin, newest.fitted, newest.reads)
    sample = _sample(material, rows, material.all)
    return material.family.fit(sample, parent.params, material.seed, start=start)
