"""Join of a request's bars to the snapshot of their series: a model on the margin needs the whole history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ratchet.errors import DataRefused
from ratchet.scoring.data.bars import COLUMNS, TOLERANCE, Bars, written


def join_bars(history: Bars, given: Bars) -> Bars:
    """The bars of `history` up to the first of `given`, and those of `given`.

    Raises:
        DataRefused: `given` is empty, begins after `history` ends, so that bars between them may be missing, or differs
        from it on common bars.
            differs from it on the bars that both have.
    """
    series, last = history.series, int(history.time[-1])
    if not len(given):
        raise DataRefused(f"{series}: 0 bars; send one at least, or none at all to predict from the snapshot")
    if int(given.time[0]) > last:
        raise DataRefused(
            f"{series}: the bars begin {written(given.time[0])}, after the newest known bar {written(last)}; bars in"
            f" between may be missing: send those from {written(last)} on, or import them first"
        )
    known = history.until(int(given.time[-1]))
    begin = int(np.searchsorted(known.time, given.time[0]))
    overlap = len(known) - begin
    missing = np.setxor1d(known.time[begin:], given.time[given.time <= last])
    if len(missing):
        time = int(missing[0])
        where = "the snapshot has" if time in known.time else "the request has"
        raise DataRefused(
            f"{series}: only {where} a bar of {written(time)}; send all bars from {written(given.time[0])} on as they"
            " were imported, or import the right ones first"
        )
    for name in COLUMNS:
        ours, theirs = getattr(known, name)[begin:], getattr(given, name)[:overlap]
        differs = np.flatnonzero(np.abs(ours - theirs) > TOLERANCE * np.abs(ours))
        if len(differs):
            at = int(differs[0])
            raise DataRefused(
                f"{series}: {name} {theirs[at]:.10g} of {written(given.time[at])} is {ours[at]:.10g} in the snapshot;"
                " send the bars as they were imported, or import the right ones first"
            )
    later: dict[str, Any] = {
        name: np.concatenate([getattr(known, name), getattr(given, name)[overlap:]]) for name in ("time", *COLUMNS)
    }
    return replace(history, **later)
