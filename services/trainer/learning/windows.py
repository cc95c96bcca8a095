"""Windows of a training session: training, tune, choose and holdout.

    | training ............ | tune | choose | holdout |      oldest first, each boundary purged by the horizon

A row is the index of a bar. The label of row r is known at bar r + horizon, so a fit without knowledge of the bars from
s on uses the rows r with r + horizon < s. The sizes below count rows after the purge. Source: López de Prado, Advances
in Financial Machine Learning (2018), chapter 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import DataRefused, InvalidInput
from ratchet.scoring.data.bars import WARM_UP
from ratchet.scoring.targets import usable_rows
from ratchet.statistics.scores import CLASS_ROWS

Rows: TypeAlias = NDArray[np.int64]

MINIMUM_USABLE = 600
HOLDOUT_MINIMUM = 120
TUNING_MINIMUM = 60


@dataclass(frozen=True)
class Span:
    """The rows start, start + 1, …, stop - 1."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def rows(self) -> Rows:
        return np.arange(self.start, self.stop, dtype=np.int64)


@dataclass(frozen=True)
class Windows:
    """The four windows of a session. Every row of every span has a known label."""

    training: Span
    tune: Span
    choose: Span
    holdout: Span
    horizon: int

    def before(self, start: int) -> Rows:
        """The usable rows with labels known before bar `start`."""
        return np.arange(self.training.start, max(self.training.start, start - self.horizon), dtype=np.int64)

    @property
    def fit_end(self) -> int:
        """The last row in the fits of this session."""
        return self.holdout.start - self.horizon - 1

    @property
    def last_label(self) -> int:
        """The last row with a known label."""
        return self.holdout.stop - 1


def require_usable_bars(series: str, y: NDArray[np.float64], warm_up: int = WARM_UP) -> int:
    """The number of usable bars; DataRefused for too few to train."""
    count = len(usable_rows(y, warm_up))
    if count < MINIMUM_USABLE:
        raise DataRefused(
            f"{series}: {count} usable bars, {MINIMUM_USABLE} needed to train"
            f" ({len(y)} bars; the first {warm_up} of a series warm its features up);"
            f" import more history with ratchet data import {series.partition('@')[0]} FILE"
        )
    return count


def split(
    y: NDArray[np.float64], horizon: int, new_bars: int | None, warm_up: int = WARM_UP, series: str = "series"
) -> Windows:
    """The windows of a session over labels `y` (float64[n], NaN where unknown).

    `new_bars` counts the bars labelled since the lineage's last session; None in its first. Raises DataRefused
    for fewer than 600 usable rows, InvalidInput for labels with a hole.
    """
    count = require_usable_bars(series, y, warm_up)
    rows = usable_rows(y, warm_up)
    first, stop = int(rows[0]), int(rows[-1]) + 1
    if stop - first != count:
        raise InvalidInput(f"{series}: {stop - first - count} labels are missing between known ones")
    return windows_around(Span(stop - holdout_size(count, new_bars), stop), first, horizon, y)


def windows_around(holdout: Span, first: int, horizon: int, y: NDArray[np.float64]) -> Windows:
    """The windows of a session with usable rows from `first` and this holdout; `y` float64[n] are the labels.

    Labels come in regimes: tune is extended back until it holds CLASS_ROWS of each class, at most to half of the rows.
    """
    size = max(TUNING_MINIMUM, (holdout.start - first) // 10)
    choose = Span(holdout.start - horizon - size, holdout.start - horizon)
    stop = choose.start - horizon
    tune = Span(stop - size - _missing_rows(y[(first + stop) // 2 : stop], size), stop)
    return Windows(Span(first, tune.start - horizon), tune, choose, holdout, horizon)


def _missing_rows(y: NDArray[np.float64], size: int) -> int:
    """Number of rows before the last `size` of `y` that complete CLASS_ROWS of each class; 0 if none do."""
    ones = np.cumsum(y[::-1])
    rows = np.arange(1, len(y) + 1)
    enough = np.flatnonzero(np.minimum(ones, rows - ones) >= CLASS_ROWS)
    return max(0, int(rows[enough[0]]) - size) if len(enough) else 0


def holdout_size(count: int, new_bars: int | None) -> int:
    """Rows of the holdout among `count` usable rows."""
    if new_bars is None:
        return max(HOLDOUT_MINIMUM, count // 10)
    return min(count // 5, max(HOLDOUT_MINIMUM, new_bars))
