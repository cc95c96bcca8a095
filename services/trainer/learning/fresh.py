"""Fit of a model from scratch at a date, without earlier sessions: an arm of the backtest. Pure.

The model is trained as the first version of a lineage, with the scored bars as the holdout: its fits use only labels
known before the first scored bar.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ratchet.errors import DataRefused
from ratchet.scoring import features
from ratchet.scoring.baselines.online import OnlineBaseline
from ratchet.scoring.columns import FeatureTable
from ratchet.scoring.data.bars import Floats, Times, written
from ratchet.scoring.evaluation import Segment, segment_labels
from ratchet.scoring.models.families import family
from services.trainer.learning.candidates import CandidateData
from services.trainer.learning.inputs import SessionOptions
from services.trainer.learning.model_columns import extend_columns
from services.trainer.learning.scratch import scratch_final, scratch_trial
from services.trainer.learning.selection import Clock
from services.trainer.learning.study import study_plan
from services.trainer.learning.windows import MINIMUM_USABLE, Rows, Span, Windows, windows_around

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class FreshFit:
    """A fit of `model_type` at the first scored bar of `segment`, on the features of a first version."""

    segment: Segment
    model_type: str
    options: SessionOptions = field(default_factory=SessionOptions)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class FreshForecast:
    """`times` int64[m] and `probabilities` float64[m] of the scored bars; CPU seconds of the fit."""

    times: Times
    probabilities: Floats
    cpu_seconds: float


def evaluate_fresh(job: FreshFit, report: Report, clock: Clock = time.process_time) -> FreshForecast:
    """Fits and forecasts. The same job gives the same probabilities; `clock` only measures CPU seconds.

    Raises:
        DataRefused: no scored bar has a known label, or too few earlier bars have one.
    """
    report("features", 0.0)
    segment, kind = job.segment, family(job.model_type)
    y, usable = segment_labels(segment)
    windows = _windows(segment, y, usable)
    first = extend_columns(None, (), features.available(segment.bars, kind.features)).columns
    online = OnlineBaseline.fit(segment.bars, segment.target, segment.horizon).z
    X = FeatureTable.of(segment.bars, segment.target, segment.horizon, first, online).matrix(first, ())
    report("fit", 0.4)
    data = CandidateData(X, y, first, windows, kind, job.seed)
    began = clock()
    trial = scratch_trial(data, study_plan(kind, 0, None, suggestions=job.options.suggestions))
    function = scratch_final(data, trial)
    spent = clock() - began
    rows = usable[usable >= segment.first]
    report("scored", 1.0)
    return FreshForecast(segment.bars.time[rows], function.probability(X, rows), spent)


def _windows(segment: Segment, y: Floats, usable: Rows) -> Windows:
    """The windows of a first session with the segment as its holdout."""
    first, horizon = segment.first, segment.horizon
    known = int(np.sum(usable + horizon < first))
    if known < MINIMUM_USABLE:
        raise DataRefused(
            f"{segment.bars.series}: {known} usable bars with labels known before"
            f" {written(segment.bars.time[first])}, {MINIMUM_USABLE} needed to fit; choose a later first bar, or"
            " import more history"
        )
    return windows_around(Span(first, int(usable[-1]) + 1), int(usable[0]), horizon, y)
