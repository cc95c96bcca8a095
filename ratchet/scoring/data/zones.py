"""Time zones: of a file's times, and of a series' calendar."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeAlias
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.timestamps import FIRST_SECOND, LAST_SECOND

Times: TypeAlias = NDArray[np.int64]

DAY = 86_400
EXAMPLE = "America/New_York"
WEEKEND_SHARE = 0.1
"""Of the bars of a market that trades every day, one in seven lies on a Saturday and as many on a Sunday."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 64
_OF_A_MACHINE = {"localtime", "Factory"}


@dataclass(frozen=True)
class Zones:
    """Known time zones before a file is read: IANA names, empty if unknown.

    `timezone` (of times without a UTC offset) and `market` are requested; `timezone_before` and `market_before` are
    those of the series' newest snapshot. Raises InvalidInput for a name outside the IANA database.
    """

    timezone: str = ""
    market: str = ""
    timezone_before: str = ""
    market_before: str = ""

    def __post_init__(self) -> None:
        for option, name in (("timezone", self.timezone), ("market-timezone", self.market)):
            if name:
                _require(name, option)

    @property
    def file_zone(self) -> str:
        """The zone of times without a UTC offset."""
        return self.timezone or self.timezone_before or self.market

    @property
    def market_zone(self) -> str:
        """The zone of the calendar features."""
        return self.market or self.timezone or self.market_before


UNKNOWN = Zones()


def offsets(zone: str, time: Times) -> Times:
    """The UTC offset of `zone`, in seconds, at each of `time`, epoch seconds UTC: int64[n]."""
    if zone == "UTC" or not len(time):
        return np.zeros(len(time), np.int64)
    info = ZoneInfo(zone)
    time = np.clip(time, FIRST_SECOND + DAY, LAST_SECOND - DAY)
    days, day = np.unique(time // DAY, return_inverse=True)
    first, last = (_each(info, moments) for moments in (days * DAY, days * DAY + DAY - 1))
    found = first[day]
    moved = (first != last)[day]
    found[moved] = _each(info, time[moved])
    return found


def to_utc(zone: str, local: Times) -> tuple[Times, NDArray[np.bool_]]:
    """Epoch seconds UTC of local times, and a mask of the times skipped by a clock change.

    A repeated hour, when clocks are set back, is resolved by the order of the rows: a time that does not follow the row
    before it if read before the change is read after the change.
    """
    if len(local) > 1 and local[0] > local[-1]:
        time, skipped = to_utc(zone, local[::-1])
        return time[::-1], skipped[::-1]
    before, after = offsets(zone, local - DAY), offsets(zone, local + DAY)
    time = local - before
    skipped = np.zeros(len(local), np.bool_)
    near = np.flatnonzero(before != after)
    early, late = local[near] - before[near], local[near] - after[near]
    is_early, is_late = offsets(zone, early) == before[near], offsets(zone, late) == after[near]
    time[near] = np.where(is_early, early, late)
    skipped[near] = ~is_early & ~is_late
    for row, second in zip(near[is_early & is_late], late[is_early & is_late], strict=True):
        if row and time[row] <= time[row - 1]:
            time[row] = second
    return time, skipped


def around_the_clock(time: Times) -> bool:
    """Whether the bars are of a market that trades seven days a week, such as crypto-currencies.

    True if they span a week or more, with a share of WEEKEND_SHARE or more on Saturdays and on Sundays.
    """
    if not len(time) or time.max() - time.min() < 7 * DAY:
        return False
    weekday = (time // DAY + 3) % 7
    return bool(min(np.mean(weekday == day) for day in (5, 6)) >= WEEKEND_SHARE)


def _each(info: ZoneInfo, time: Times) -> Times:
    moments = (_EPOCH + timedelta(seconds=second) for second in time.tolist())
    found = (moment.astimezone(info).utcoffset() or timedelta() for moment in moments)
    return np.fromiter((int(offset.total_seconds()) for offset in found), np.int64, len(time))


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - _OF_A_MACHINE)


def _require(name: str, option: str) -> None:
    if name in _names():
        return
    near = difflib.get_close_matches(name[:_LONGEST].replace(" ", "_"), sorted(_names()), 1)
    hint = f"did you mean {near[0]}?" if near else f"give an IANA name such as {EXAMPLE}"
    raise InvalidInput(f"unknown --{option} {name[:_LONGEST]!r}; {hint}", fields={option.replace("-", "_"): "unknown"})
