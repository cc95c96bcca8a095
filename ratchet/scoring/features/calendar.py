"""Calendar features, in the market's time zone. Bars of days and weeks keep their date: their hour is always 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ratchet.patterns.rule_text import Op
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.data.zones import DAY
from ratchet.scoring.features.feature import Feature, feature
from ratchet.scoring.features.phrases import coded

_TURN = 3
"""Calendar days at either end of a month that count as its turn."""

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("", "January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def _days(bars: Bars) -> NDArray[np.datetime64]:
    return bars.local_time.astype("datetime64[s]").astype("datetime64[D]")


def _months(bars: Bars) -> NDArray[np.datetime64]:
    return _days(bars).astype("datetime64[M]")


def _weekday(bars: Bars) -> Floats:
    """0 to 6; 0 is Monday."""
    return np.asarray((bars.local_time // DAY + 3) % 7, np.float64)


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


def _hour(bars: Bars) -> Floats:
    """0 to 23."""
    return np.asarray(bars.local_time % DAY // 3600, np.float64)


def _weekday_words(op: Op, day: float) -> str | None:
    """Words for a weekday, or for the days from Monday or to Sunday; 0 is Monday."""
    if op == "is" and day in range(7):
        return f"on {_WEEKDAYS[int(day)]}s"
    if op == "<=" and day in range(1, 6):
        return f"from Monday to {_WEEKDAYS[int(day)]}"
    if op == ">" and day in range(5):
        return f"from {_WEEKDAYS[int(day) + 1]} to Sunday"
    return None


def _month_words(op: Op, month: float) -> str | None:
    if op == "is" and month in range(1, 13):
        return f"in {_MONTHS[int(month)]}"
    if op == "<=" and month in range(2, 12):
        return f"from January to {_MONTHS[int(month)]}"
    if op == ">" and month in range(1, 11):
        return f"from {_MONTHS[int(month) + 1]} to December"
    return None


def _day_words(op: Op, day: float) -> str | None:
    if op == "<=" and day in range(2, 31):
        return f"in the first {int(day)} days of the month"
    if op == "<=" or day not in range(1, 32):
        return None
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(int(day) % 10, "th")
    return f"{'after' if op == '>' else 'on'} the {int(day)}{ending} of the month"


def _hour_words(op: Op, hour: float) -> str | None:
    """Words for the hour in which a bar lies."""
    if op == "is" and hour in range(24):
        return f"at {int(hour):02}:00 market time"
    if op == "<=" and hour in range(23):
        return f"before {int(hour) + 1:02}:00 market time"
    if op == ">" and hour in range(23):
        return f"from {int(hour) + 1:02}:00 market time on"
    return None


_turn_words = coded({0.0: "away from the turn of the month", 1.0: "at the turn of the month"})

FEATURES: tuple[Feature, ...] = (
    feature("weekday", "calendar", _weekday, phrase=_weekday_words),
    feature("month", "calendar", _month, phrase=_month_words),
    feature("day_of_month", "calendar", _day_of_month, phrase=_day_words),
    feature("turn_of_month", "calendar", _turn_of_month, phrase=_turn_words),
    feature("hour", "calendar", _hour, phrase=_hour_words),
)
