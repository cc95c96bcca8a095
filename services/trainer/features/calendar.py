"""What the calendar says of a bar, in UTC. For daily bars the hour is always 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.trainer.data.bars import Bars, Floats
from services.trainer.features.feature import Feature, feature

_TURN = 3
"""Calendar days at either end of a month that count as its turn."""


def _days(bars: Bars) -> NDArray[np.datetime64]:
    return bars.time.astype("datetime64[s]").astype("datetime64[D]")


def _months(bars: Bars) -> NDArray[np.datetime64]:
    return _days(bars).astype("datetime64[M]")


def _month(bars: Bars) -> Floats:
    """1 to 12."""
    return np.asarray(_months(bars).astype(np.int64) % 12 + 1, np.float64)


def _day_of_month(bars: Bars) -> Floats:
    """1 to 31."""
    return np.asarray((_days(bars) - _months(bars).astype("datetime64[D]")).astype(np.int64) + 1, np.float64)


def _turn_of_month(bars: Bars) -> Floats:
    """1 on the first and last _TURN calendar days of a month, else 0: known from the date alone."""
    left = ((_months(bars) + 1).astype("datetime64[D]") - _days(bars)).astype(np.float64)
    return np.asarray((_day_of_month(bars) <= _TURN) | (left <= _TURN), np.float64)


FEATURES: tuple[Feature, ...] = (
    feature("weekday", "calendar", lambda bars: ((bars.time // 86_400 + 3) % 7).astype(np.float64)),
    feature("month", "calendar", _month),
    feature("day_of_month", "calendar", _day_of_month),
    feature("turn_of_month", "calendar", _turn_of_month),
    feature("hour", "calendar", lambda bars: (bars.time % 86_400 // 3600).astype(np.float64)),
)
