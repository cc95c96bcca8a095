"""The candidate from scratch: a new model with the best setting on tune, on all known features and patterns.

The study tries both variants: residual to the log-odds of online@baseline, and stand-alone. The calibration of the
final model is fitted on out-of-sample margins of tune and choose: on 168 windows of AAPL, GOOG, IBM and MSFT that gave
a Brier score of .2225 on the holdout against .2253 with tune alone, which overfits the regime of its few bars. On a
degenerate tune window the model answers the frequency of all labels before choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ratchet.scoring.models.calibration import MARGIN_RIDGE, SLOPE_RIDGE, fit_calibration, frequency_calibration
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Fitted, Floats, Params, Sample
from ratchet.statistics.scores import Interval, brier, defined, mean_difference
from services.trainer.learning.candidates import CandidateData, RowWeights, Trial
from services.trainer.learning.outcome import Correction, TrialReport
from services.trainer.learning.study import Setting, StudyPlan, run_study
from services.trainer.learning.windows import Rows


@dataclass(frozen=True, eq=False)
class _TrialFit:
    """Fit of a setting on training: `p`, float64[m], are its probabilities on tune."""

    setting: Setting
    p: Floats
    score: float
    function: Function

    @property
    def params(self) -> Params:
        """Parameters of the fit: early stopping may have lowered the rounds."""
        part = self.function.links[0].fitted
        return self.setting.params if part is None else part.params


def scratch_trial(data: CandidateData, study_plan: StudyPlan, row_weights: RowWeights | None = None) -> Trial:
    """A new model with the best setting on tune (the first of equals), with row weights if they help.

    A stand-alone model, or a smaller step than the offered one, is selected only if significantly better on tune: of 88
    rows most differences are noise. On a degenerate tune window the first setting is selected.
    """
    fits: list[_TrialFit] = []
    tune, correction = data.windows.tune.rows(), None

    def score(setting: Setting) -> float:
        fits.append(_fit_trial(data, setting))
        return fits[-1].score

    if defined(data.y[tune]):
        run_study(data.family, study_plan, data.seed, score)
    else:
        score(study_plan.settings[0])
    best, gain = _select_fit(fits, study_plan.offered, data.y[tune], data.windows.horizon)
    trials = tuple(TrialReport(each.setting.step, each.params, each.score) for each in fits)
    if row_weights is not None:
        weighted = _fit_trial(data, Setting(best.setting.step, best.params), row_weights)
        correction = Correction(weighted.score, best.score, len(tune), slices=row_weights.slices)
        best, row_weights = (weighted, row_weights) if correction.applied else (best, None)
    return Trial(
        "new",
        _refit(data, data.windows.before(data.windows.choose.start), best.params, best.function, row_weights),
        best.score,
        best.setting.step,
        best.params,
        best.function,
        np.concatenate([tune, data.windows.choose.rows()]),
        row_weights,
        trials,
        correction,
        gain,
    )


def scratch_final(data: CandidateData, trial: Trial) -> Function:
    """The candidate refitted on all rows before the holdout, calibrated on the out-of-sample margins of tune and
    choose."""
    rows = data.windows.before(data.windows.holdout.start)
    link = trial.validation_function.links[0]
    if link.fitted is not None:
        link = _calibrated(data, trial.validation_function, link.fitted, trial.validation_rows, rows)
    return _refit(data, rows, trial.params, replace(trial.validation_function, links=(link,)), trial.row_weights)


def fit_without_columns(data: CandidateData, trial: Trial, columns: frozenset[int]) -> Function:
    """The validation function of `trial` without some columns: fitted on training, calibrated on tune."""
    bare = replace(data, reads=tuple(column for column in data.read_columns if column not in columns))
    return _fit_trial(bare, Setting(trial.step, trial.params), trial.row_weights).function


def _select_fit(fits: Sequence[_TrialFit], offered: int, y: Floats, horizon: int) -> tuple[_TrialFit, Interval | None]:
    """The selected fit, and its gain on tune (labels `y`) if its complexity step is not the offered one.

    The default is the best fit on the margin at the offered step; another fit needs a significantly lower Brier loss.
    """
    usual = [each for each in fits if each.setting.step == offered and each.setting.on_margin]
    best = min(usual, key=lambda each: each.score)
    for other in sorted((each for each in fits if each not in usual), key=lambda each: each.score):
        gain = mean_difference((best.p - y) ** 2 - (other.p - y) ** 2, horizon)
        if gain.low > 0.0:
            return other, gain if other.setting.step != offered else None
    return best, None


def _fit_trial(data: CandidateData, setting: Setting, row_weights: RowWeights | None = None) -> _TrialFit:
    windows = data.windows
    training, tune = windows.training.rows(), windows.tune.rows()
    start = data.start_column if setting.on_margin and defined(data.y[training]) else None
    stop = data.sample(tune, data.read_columns, start=start)
    part = _fit(data, training, setting.params, row_weights, start, stop)
    bare = Function(data.columns, (), start)
    link = _calibrated(data, bare, part, tune, windows.before(windows.choose.start))
    function = replace(bare, links=(link,))
    p = function.probability(data.X, tune)
    return _TrialFit(setting, p, brier(p, data.y[tune]), function)


def _calibrated(data: CandidateData, function: Function, part: Fitted, rows: Rows, known: Rows) -> Link:
    """The link of `part` with the calibration of its margins at `rows`; on a degenerate window, with the frequency of
    label 1 among the rows `known`."""
    y = data.y[rows]
    margins = [part.margin(data.X[:, list(data.read_columns)], rows)]
    anchor: tuple[float, ...] = (0.0,)
    ridges: tuple[float, ...] = (SLOPE_RIDGE,)
    if function.start is not None:
        margins.insert(0, np.nan_to_num(data.X[rows, function.start]))
        anchor, ridges = (1.0, 0.0), (MARGIN_RIDGE, SLOPE_RIDGE)
    if defined(y):
        calibration = fit_calibration(np.column_stack(margins), y, anchor, ridges)
    else:
        calibration = frequency_calibration(len(anchor), data.y[known])
    return Link(
        data.read_columns,
        part,
        a=calibration.slopes[0] if len(anchor) == 2 else 0.0,
        b=calibration.slopes[-1],
        c=calibration.offset,
    )


def _refit(data: CandidateData, rows: Rows, params: Params, like: Function, row_weights: RowWeights | None) -> Function:
    """A function of one link, refitted on `rows`, with the calibration of `like`."""
    fitted = _fit(data, rows, params, row_weights, like.start)
    return replace(like, links=(replace(like.links[0], fitted=fitted),))


def _fit(
    data: CandidateData,
    rows: Rows,
    params: Params,
    row_weights: RowWeights | None,
    start: int | None,
    stop: Sample | None = None,
) -> Fitted:
    weight = None if row_weights is None else row_weights.weight[rows]
    sample = data.sample(rows, data.read_columns, weight, start)
    return data.family.fit(sample, params, data.seed, stop=stop)
