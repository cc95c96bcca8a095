"""Forecasts of models and baselines on bars out-of-sample for all models. Pure.

The forecast of a baseline for a bar uses only labels known at that bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import DataRefused
from ratchet.scoring import baselines, targets
from ratchet.scoring.baselines.online import OnlineBaseline
from ratchet.scoring.columns import probabilities, table_for
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats, Times, written
from ratchet.scoring.models import artifact
from ratchet.scoring.targets import usable_rows

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class RecordedModel:
    """A recorded model; the caller has checked that the scored bars are out-of-sample."""

    name: str
    artifact: bytes = field(repr=False)


@dataclass(frozen=True)
class Segment:
    """Bars to evaluate: scored from index `first` on; `bars` end with the outcome of the last scored bar."""

    target: str
    horizon: int
    bars: Bars = field(repr=False)
    first: int
    models: tuple[RecordedModel, ...] = ()
    baselines: bool = False


@dataclass(frozen=True, eq=False)
class Forecast:
    """Forecasts of one model or baseline: `probabilities` of the scored bars, float64[m]."""

    name: str
    probabilities: Floats


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Evaluation of the scored bars, all labelled: `times` int64[m], `outcomes` bool[m]."""

    times: Times
    outcomes: NDArray[np.bool_]
    forecasts: tuple[Forecast, ...]


def segment_bars(bars: Bars, horizon: int, first_time: int, last_time: int) -> tuple[Bars, int]:
    """Bars for a segment from `first_time` to `last_time` (epoch seconds), and the index of its first bar.

    DataRefused without a bar in the period.
    """
    first = int(np.searchsorted(bars.time, first_time, side="left"))
    stop = int(np.searchsorted(bars.time, last_time, side="right"))
    if first >= stop:
        has = f"it has {written(bars.time[0])} to {written(bars.time[-1])}" if len(bars) else "it has none"
        raise DataRefused(
            f"{bars.series} has no bar from {written(first_time)} to {written(last_time)}; {has}:"
            " choose a period within"
        )
    return bars.head(stop + horizon), first


def evaluate(segment: Segment, report: Report) -> Evaluation:
    """Evaluates a segment. The same segment gives the same probabilities.

    Raises:
        DataRefused: no bar of the segment has a known label.
    """
    report("features", 0.0)
    y, usable = segment_labels(segment)
    rows = usable[usable >= segment.first]
    online = OnlineBaseline.fit(segment.bars, segment.target, segment.horizon).z
    found = [Forecast(each.name, _recorded(each, segment.bars, online)[rows]) for each in segment.models]
    if segment.baselines:
        report("baselines", 0.1)
        simple = baselines.forecasts(segment.bars, segment.target, segment.horizon, online)
        found.extend(Forecast(name, p[rows]) for name, p in simple.items())
    report("scored", 1.0)
    return Evaluation(segment.bars.time[rows], y[rows] == 1.0, tuple(found))


def segment_labels(segment: Segment) -> tuple[Floats, NDArray[np.int64]]:
    """The label of each bar, float64[n], and the usable rows. DataRefused without a usable scored bar."""
    y = targets.labels(segment.target, segment.bars, segment.horizon)
    usable = usable_rows(y)
    if not np.any(usable >= segment.first):
        raise DataRefused(
            f"{segment.bars.series}: no bar of this period has both a known label, {segment.horizon} bars later, and"
            f" {WARM_UP} bars before it; choose another period"
        )
    return y, usable


def _recorded(recorded: RecordedModel, bars: Bars, online: Floats) -> Floats:
    model = artifact.load(recorded.artifact)
    return probabilities(model, table_for(model, bars, online))
