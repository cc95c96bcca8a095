"""The forecasts of models and baselines on bars that none of the models knows. Pure.

The forecast of a baseline for a bar uses only labels known at that bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import DataRefused
from ratchet.scoring import baselines, targets
from ratchet.scoring.baselines.online import Fold
from ratchet.scoring.columns import probabilities, table_for
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats, Times, written
from ratchet.scoring.models import artifact
from ratchet.scoring.targets import usable_rows

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Recorded:
    """A model of the log; its caller has checked that it knows no label of a scored bar."""

    name: str
    artifact: bytes = field(repr=False)


@dataclass(frozen=True)
class Segment:
    """The bars from index `first` on are scored; `bars` end with the one that makes the last label known."""

    target: str
    horizon: int
    bars: Bars = field(repr=False)
    first: int
    models: tuple[Recorded, ...] = ()
    baselines: bool = False


@dataclass(frozen=True, eq=False)
class Forecast:
    """`probabilities`: one a scored bar, float64[m]."""

    name: str
    probabilities: Floats


@dataclass(frozen=True, eq=False)
class Scored:
    """The scored bars, with a known label each: `times` int64[m], `outcomes` bool[m]."""

    times: Times
    outcomes: NDArray[np.bool_]
    forecasts: tuple[Forecast, ...]


def cut(bars: Bars, horizon: int, first_time: int, last_time: int) -> tuple[Bars, int]:
    """What a segment from `first_time` to `last_time` (epoch seconds) may know of `bars`, and where it begins.

    DataRefused when no bar lies there.
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


def evaluate(segment: Segment, report: Report) -> Scored:
    """The forecasts of a segment. The same segment gives the same probabilities.

    Raises:
        DataRefused: no bar of the segment has a known label.
    """
    report("features", 0.0)
    y, usable = labelled(segment)
    rows = usable[usable >= segment.first]
    online = Fold.over(segment.bars, segment.target, segment.horizon).z
    found = [Forecast(each.name, _recorded(each, segment.bars, online)[rows]) for each in segment.models]
    if segment.baselines:
        report("baselines", 0.1)
        simple = baselines.forecasts(segment.bars, segment.target, segment.horizon, online)
        found.extend(Forecast(name, p[rows]) for name, p in simple.items())
    report("scored", 1.0)
    return Scored(segment.bars.time[rows], y[rows] == 1.0, tuple(found))


def labelled(segment: Segment) -> tuple[Floats, NDArray[np.int64]]:
    """The label of each bar, float64[n], and the usable rows. DataRefused where none of them is scored."""
    y = targets.labels(segment.target, segment.bars, segment.horizon)
    usable = usable_rows(y)
    if not np.any(usable >= segment.first):
        raise DataRefused(
            f"{segment.bars.series}: no bar of this period has both a known label, {segment.horizon} bars later, and"
            f" {WARM_UP} bars before it; choose another period"
        )
    return y, usable


def _recorded(recorded: Recorded, bars: Bars, online: Floats) -> Floats:
    model = artifact.load(recorded.artifact)
    return probabilities(model, table_for(model, bars, online))
