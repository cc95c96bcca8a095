"""What models, and simple alternatives, say of bars that none of them knows. Pure.

The alternatives are fitted as the first version of a lineage is, with the scored bars as the holdout: their fits use
only labels that were known before the first scored bar.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import DataRefused
from services.trainer import features, targets
from services.trainer.data.bars import WARM_UP, Bars, Floats, Times, written
from services.trainer.learning import evaluation
from services.trainer.learning.candidates import Material
from services.trainer.learning.choice import Clock
from services.trainer.learning.columns import Table, predict
from services.trainer.learning.inputs import Recipe
from services.trainer.learning.scratch import scratch_final, scratch_trial
from services.trainer.learning.study import search
from services.trainer.models import artifact
from services.trainer.models.families import family
from services.trainer.windows import MINIMUM_USABLE, Rows, Span, Windows, around, usable_rows

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

    `baselines`: majority, persistence and logistic are asked too. `fresh_model_type`: so is a model of this type,
    trained at `first` as if nothing had been learned; "": none.
    """

    target: str
    horizon: int
    bars: Bars = field(repr=False)
    first: int
    models: tuple[Recorded, ...] = ()
    baselines: bool = False
    fresh_model_type: str = ""
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
    said = [Forecast(each.name, predict(artifact.load(each.artifact), segment.bars)[rows]) for each in segment.models]
    if segment.baselines or segment.fresh_model_type:
        said.extend(_alternatives(segment, y, _windows(segment, usable), report, clock))
    report("scored", 1.0)
    return Scored(segment.bars.time[rows], y[rows] == 1.0, tuple(said))


def _alternatives(segment: Segment, y: Floats, windows: Windows, report: Report, clock: Clock) -> Iterator[Forecast]:
    X = Table.of(segment.bars, features.BASE).matrix(features.BASE, ())
    held = windows.holdout.rows()
    if segment.baselines:
        report("baselines", 0.1)
        material = Material(X, y, features.BASE, windows, family(evaluation.LOGISTIC), segment.seed)
        last_label = targets.persistence(segment.target, segment.bars, segment.horizon)
        began = clock()
        found = evaluation.baselines(material, last_label)
        spent = clock() - began
        # Logistic is the only one that is fitted; the others count labels.
        yield from (Forecast(name, p, spent if name == evaluation.LOGISTIC else 0.0) for name, p in found.items())
    if segment.fresh_model_type:
        report(FRESH, 0.4)
        material = Material(X, y, features.BASE, windows, family(segment.fresh_model_type), segment.seed)
        began = clock()
        trial = scratch_trial(material, search(material.family, 0, None, asked=Recipe().asked))
        function = scratch_final(material, trial)
        spent = clock() - began
        yield Forecast(FRESH, function.probability(X, held), spent)


def _windows(segment: Segment, usable: Rows) -> Windows:
    """The windows of a first session whose holdout is the segment."""
    first, horizon = segment.first, segment.horizon
    known = int(np.sum(usable + horizon < first))
    if known < MINIMUM_USABLE:
        raise DataRefused(
            f"{segment.bars.series}: {known} usable bars with labels known before"
            f" {written(segment.bars.time[first])}, {MINIMUM_USABLE} needed to fit; choose a later first bar, or"
            " import more history"
        )
    return around(Span(first, int(usable[-1]) + 1), int(usable[0]), horizon)
