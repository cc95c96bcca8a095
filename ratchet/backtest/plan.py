"""Plan of a backtest: session dates, and the bars scored after each.

    | known at the first date ............ d0 | segment 0 ..... d1 | segment 1 ..... d2 | … to the last bar |

A session at date d knows the bars up to and including d. The models in force after it are scored on the bars after d up
to the next date, so no bar is scored twice, and every scored bar is out-of-sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.backtest.bar_times import format_day
from ratchet.errors import DataRefused, InvalidInput

WARM_UP = 250
"""Warm-up bars at the head of a series, required by its features."""
USABLE = 1000
"""Usable bars at the first date when no start is given: enough to search for patterns."""
SESSION_INTERVAL = 100


@dataclass(frozen=True)
class Segment:
    """A session's date, and the first and the last bar scored after it; bar times, epoch seconds UTC."""

    date: int
    first: int
    last: int


def plan(
    series: str, times: Sequence[int], horizon: int, start: int | None = None, every: int = SESSION_INTERVAL
) -> list[Segment]:
    """The segments over bars at `times` (epoch seconds, increasing), a session every `every` bars.

    The first date is the last bar at or before `start`; without one, the bar at which USABLE bars are usable. Bars that
    do not fill a whole segment belong to the last one, which has a bar with a known outcome. DataRefused when no bar is
    left to score.
    """
    if every < 1:
        raise InvalidInput(f"--every is {every} bars; use 1 or more", fields={"every": "out of range"})
    first = WARM_UP + USABLE + horizon - 1 if start is None else _index_at(series, times, start)
    left = len(times) - 1 - first
    if left <= horizon:
        raise DataRefused(_nothing_left(series, times, first, horizon, start))
    dates = [first + number * every for number in range(max(1, (left - horizon) // every))]
    ends = [*dates[1:], len(times) - 1]
    return [Segment(times[at], times[at + 1], times[end]) for at, end in zip(dates, ends, strict=True)]


def _index_at(series: str, times: Sequence[int], start: int) -> int:
    """The index of the last bar at or before `start`."""
    before = sum(1 for time in times if time <= start)
    if not before:
        raise DataRefused(
            f"{series} has no bar until {format_day(start)}, its first is"
            f" {format_day(times[0]) if times else 'not there'};"
            " choose a later --start"
        )
    return before - 1


def _nothing_left(series: str, times: Sequence[int], first: int, horizon: int, start: int | None) -> str:
    if start is not None:
        return (
            f"{series}: no bar with a known outcome after {format_day(start)}, its last is {format_day(times[-1])};"
            " choose an earlier --start"
        )
    return (
        f"{series}: {len(times)} bars, {first + horizon + 2} needed for a backtest whose first session has"
        f" {USABLE:,} usable bars; import more history, or name the first date with --start"
    )
