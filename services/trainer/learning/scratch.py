"""The candidate from scratch: a new model of the setting that does best on tune, with all that is known.

It starts from the log-odds of online@baseline and learns their residual, or stands alone: the study tries both.
The calibration of the final model is fitted on what the honest fit says of tune and choose: on 168 windows of AAPL,
GOOG, IBM and MSFT that cost .2225 of Brier score on the holdout against .2253 for that of tune alone, which is drawn
into the regime of its few bars. Where tune is degenerate the model answers the frequency of all labels before choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ratchet.scoring.models.calibration import MARGIN_RIDGE, SLOPE_RIDGE, fit_head, frequency_head
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Fitted, Floats, Params, Sample
from ratchet.statistics.scores import Interval, brier, defined, mean_difference
from services.trainer.learning.candidates import Emphasis, Material, Trial
from services.trainer.learning.outcome import Correction, TrialReport
from services.trainer.learning.study import Search, Setting, explore
from services.trainer.learning.windows import Rows


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A setting as it was fitted on training: `p`, float64[m], are its probabilities on tune."""

    setting: Setting
    p: Floats
    score: float
    function: Function

    @property
    def params(self) -> Params:
        """Those that it was fitted with: early stopping may have lowered its rounds."""
        part = self.function.links[0].fitted
        return self.setting.params if part is None else part.params


def scratch_trial(material: Material, search: Search, emphasis: Emphasis | None = None) -> Trial:
    """A new model of the setting that does best on tune (the first of equals), rows weighted if that helps.

    The margin is left, and a step smaller than the one offered taken, only where tune shows that it is better: of 88
    rows most differences are noise. Where tune is degenerate it shows nothing: the first setting is taken.
    """
    attempts: list[_Attempt] = []
    tune, correction = material.windows.tune.rows(), None

    def score(setting: Setting) -> float:
        attempts.append(_attempt(material, setting))
        return attempts[-1].score

    if defined(material.y[tune]):
        explore(material.family, search, material.seed, score)
    else:
        score(search.enqueued[0])
    best, gain = _chosen(attempts, search.offered, material.y[tune], material.windows.horizon)
    trials = tuple(TrialReport(each.setting.step, each.params, each.score) for each in attempts)
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
        gain,
    )


def scratch_final(material: Material, trial: Trial) -> Function:
    """The candidate fitted on all rows before the holdout, calibrated on the honest margins of tune and choose."""
    rows = material.windows.before(material.windows.holdout.start)
    link = trial.honest.links[0]
    if link.fitted is not None:
        link = _calibrated(material, trial.honest, link.fitted, trial.honest_rows, rows)
    return _refit(material, rows, trial.params, replace(trial.honest, links=(link,)), trial.emphasis)


def without(material: Material, trial: Trial, columns: frozenset[int]) -> Function:
    """The honest function of `trial` as it would be without some columns: fitted on training, calibrated on tune."""
    bare = replace(material, reads=tuple(column for column in material.read if column not in columns))
    return _attempt(bare, Setting(trial.step, trial.params), trial.emphasis).function


def _chosen(attempts: Sequence[_Attempt], offered: int, y: Floats, horizon: int) -> tuple[_Attempt, Interval | None]:
    """The attempt to take, and what it gains on tune (labels `y`) where its complexity step is not the one offered.

    The best of those on the margin at the step offered; another only if its Brier loss is shown to be lower.
    """
    usual = [each for each in attempts if each.setting.step == offered and each.setting.on_margin]
    best = min(usual, key=lambda each: each.score)
    for other in sorted((each for each in attempts if each not in usual), key=lambda each: each.score):
        gain = mean_difference((best.p - y) ** 2 - (other.p - y) ** 2, horizon)
        if gain.low > 0.0:
            return other, gain if other.setting.step != offered else None
    return best, None


def _attempt(material: Material, setting: Setting, emphasis: Emphasis | None = None) -> _Attempt:
    windows = material.windows
    training, tune = windows.training.rows(), windows.tune.rows()
    start = material.start if setting.on_margin and defined(material.y[training]) else None
    stop = material.sample(tune, material.read, start=start)
    part = _fit(material, training, setting.params, emphasis, start, stop)
    bare = Function(material.columns, (), start)
    link = _calibrated(material, bare, part, tune, windows.before(windows.choose.start))
    function = replace(bare, links=(link,))
    p = function.probability(material.X, tune)
    return _Attempt(setting, p, brier(p, material.y[tune]), function)


def _calibrated(material: Material, function: Function, part: Fitted, rows: Rows, known: Rows) -> Link:
    """The link of `part` with the calibration of its margins at `rows`; of a degenerate window: the frequency of label
    1 among all rows that are known."""
    y = material.y[rows]
    margins = [part.margin(material.X[:, list(material.read)], rows)]
    anchor: tuple[float, ...] = (0.0,)
    ridges: tuple[float, ...] = (SLOPE_RIDGE,)
    if function.start is not None:
        margins.insert(0, np.nan_to_num(material.X[rows, function.start]))
        anchor, ridges = (1.0, 0.0), (MARGIN_RIDGE, SLOPE_RIDGE)
    if defined(y):
        head = fit_head(np.column_stack(margins), y, anchor, ridges)
    else:
        head = frequency_head(len(anchor), material.y[known])
    return Link(material.read, part, a=head.slopes[0] if len(anchor) == 2 else 0.0, b=head.slopes[-1], c=head.offset)


def _refit(material: Material, rows: Rows, params: Params, like: Function, emphasis: Emphasis | None) -> Function:
    """A function of one link, fitted on `rows`, with the calibration of `like`."""
    fitted = _fit(material, rows, params, emphasis, like.start)
    return replace(like, links=(replace(like.links[0], fitted=fitted),))


def _fit(
    material: Material,
    rows: Rows,
    params: Params,
    emphasis: Emphasis | None,
    start: int | None,
    stop: Sample | None = None,
) -> Fitted:
    weight = None if emphasis is None else emphasis.weight[rows]
    sample = material.sample(rows, material.read, weight, start)
    return material.family.fit(sample, params, material.seed, stop=stop)
