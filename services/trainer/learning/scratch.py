"""The candidate from scratch: a new model of the setting that does best on tune, with all that is known.

The head of the final model is fitted on what the honest fit says of tune and choose: on 168 windows of AAPL, GOOG, IBM
and MSFT that cost .2225 of Brier score on the holdout against .2253 for the head of tune alone, which is drawn into the
regime of its few bars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.trainer.learning.candidates import Emphasis, Material, Trial
from services.trainer.learning.outcome import Correction, TrialReport
from services.trainer.learning.study import Search, Setting, explore
from services.trainer.models.function import Function, Link
from services.trainer.models.head import Head, fit_head
from services.trainer.models.port import Fitted, Params, Sample
from services.trainer.windows import Rows


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
    stop = material.sample(tune, material.read)
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
    sample = material.sample(rows, material.read, weight)
    return material.family.fit(sample, params, material.seed, stop=stop)
