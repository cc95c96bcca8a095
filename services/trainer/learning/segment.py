"""What models, and simple alternatives, say of bars that none of them knows. Pure.

A fresh model is trained as the first version of a lineage is, with the scored bars as the holdout: its fits use only
labels that were known before the first scored bar. The baselines use what is known at each bar.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import DataRefused
from ratchet.scoring import baselines, features, targets
from ratchet.scoring.baselines.online import Fold
from ratchet.scoring.columns import Table, probabilities, table_for
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats, Times, written
from ratchet.scoring.models import artifact
from ratchet.scoring.models.families import family
from ratchet.scoring.targets import usable_rows
from services.trainer.learning.candidates import Material
from services.trainer.learning.growth import grow
from services.trainer.learning.inputs import Recipe
from services.trainer.learning.scratch import scratch_final, scratch_trial
from services.trainer.learning.selection import Clock
from services.trainer.learning.study import search
from services.trainer.learning.windows import MINIMUM_USABLE, Rows, Span, Windows, around

Report = Callable[[str, float], None]

FRESH = "fresh"


@dataclass(frozen=True)
class Recorded:
    """A model of the log; that it knows no label of a scored bar is its caller's care."""

    name: str
    artifact: bytes = field(repr=False)


@dataclass(frozen=True)
class Segment:
    """The bars from index `first` on are scored; `bars` end with the one that makes the last label known.

    `baselines`: each of them is asked too. `fresh_model_type`: so is a model of this type, trained at `first` on the
    features that its first version reads by `recipe`, as if nothing had been learned; "": none.
    """

    target: str
    horizon: int
    bars: Bars = field(repr=False)
    first: int
    models: tuple[Recorded, ...] = ()
    baselines: bool = False
    fresh_model_type: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Forecast:
    """`probabilities`: one a scored bar, float64[m]; `cpu_seconds` were spent on the fit."""

    name: str
    probabilities: Floats
    cpu_seconds: float = 0.0


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


def evaluate(segment: Segment, report: Report, clock: Clock = time.process_time) -> Scored:
    """The forecasts of a segment. DataRefused without a known label, or with too few bars before it to fit on.

    The same segment gives the same probabilities; `clock` measures CPU seconds and decides nothing.
    """
    report("features", 0.0)
    y = targets.labels(segment.target, segment.bars, segment.horizon)
    usable = usable_rows(y)
    rows = usable[usable >= segment.first]
    if not len(rows):
        raise DataRefused(
            f"{segment.bars.series}: no bar of this period has both a known label, {segment.horizon} bars later, and"
            f" {WARM_UP} bars before it; choose another period"
        )
    online = Fold.over(segment.bars, segment.target, segment.horizon).z
    said = [Forecast(each.name, _recorded(each, segment.bars, online)[rows]) for each in segment.models]
    if segment.baselines:
        report("baselines", 0.1)
        simple = baselines.forecasts(segment.bars, segment.target, segment.horizon, online)
        said.extend(Forecast(name, p[rows]) for name, p in simple.items())
    if segment.fresh_model_type:
        report(FRESH, 0.4)
        said.append(_fresh(segment, y, _windows(segment, y, usable), online, clock))
    report("scored", 1.0)
    return Scored(segment.bars.time[rows], y[rows] == 1.0, tuple(said))


def _recorded(recorded: Recorded, bars: Bars, online: Floats) -> Floats:
    model = artifact.load(recorded.artifact)
    return probabilities(model, table_for(model, bars, online))


def _fresh(segment: Segment, y: Floats, windows: Windows, online: Floats, clock: Clock) -> Forecast:
    kind = family(segment.fresh_model_type)
    first = grow(None, (), features.available(segment.bars, kind.features)).columns
    X = Table.of(segment.bars, segment.target, segment.horizon, first, online).matrix(first, ())
    material = Material(X, y, first, windows, kind, segment.seed)
    began = clock()
    trial = scratch_trial(material, search(kind, 0, None, asked=segment.recipe.asked))
    function = scratch_final(material, trial)
    spent = clock() - began
    return Forecast(FRESH, function.probability(X, windows.holdout.rows()), spent)


def _windows(segment: Segment, y: Floats, usable: Rows) -> Windows:
    """The windows of a first session whose holdout is the segment."""
    first, horizon = segment.first, segment.horizon
    known = int(np.sum(usable + horizon < first))
    if known < MINIMUM_USABLE:
        raise DataRefused(
            f"{segment.bars.series}: {known} usable bars with labels known before"
            f" {written(segment.bars.time[first])}, {MINIMUM_USABLE} needed to fit; choose a later first bar, or"
            " import more history"
        )
    return around(Span(first, int(usable[-1]) + 1), int(usable[0]), horizon, y)
