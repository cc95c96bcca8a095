"""Bars and the rules that every bar keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import DataRefused
from ratchet.names import Series
from ratchet.timestamps import FIRST_SECOND, LAST_SECOND
from services.trainer.data.zones import DAY, offsets
from services.trainer.data.zones import Times as Times

Floats: TypeAlias = NDArray[np.float64]

COLUMNS = ("open", "high", "low", "close", "volume")

WARM_UP = 250
"""Bars at the start of a series whose features are not used for training."""

TOLERANCE = 1e-6
"""By how much, relatively, an open or close may leave [low, high]: exports of 32-bit floats differ that much."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Bars:
    """The bars of one series, oldest first.

    `time` is int64[n], epoch seconds UTC, strictly increasing (daily bars: midnight of the date);
    prices and volume are float64[n]; `zone` is the IANA name of the market's time zone.
    `check` proves that the rules hold.
    """

    series: str
    time: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    zone: str = field(default="UTC", kw_only=True)

    def __len__(self) -> int:
        return len(self.time)

    @cached_property
    def local_time(self) -> Times:
        """int64[n]: the date and time of day in the market's zone, in seconds, as if that zone were UTC.

        Bars of days and weeks keep the date as written: no zone shifts it.
        """
        return self.time + offsets(self.zone, self.time) if Series.parse(self.series).intraday else self.time

    def head(self, n: int) -> Bars:
        """The first `n` bars."""
        return self._chosen(slice(n))

    def until(self, epoch_seconds: int) -> Bars:
        """The bars whose time is `epoch_seconds` or earlier."""
        return self.head(int(np.searchsorted(self.time, epoch_seconds, side="right")))

    def _chosen(self, rows: slice) -> Bars:
        chosen: dict[str, Any] = {name: getattr(self, name)[rows] for name in ("time", *COLUMNS)}
        return replace(self, **chosen)


@dataclass(frozen=True)
class _Rule:
    broken: NDArray[np.bool_]
    say: Callable[[int], str]


def check(
    bars: Bars,
    name: str,
    row_of: Callable[[int], int] = lambda index: index + 2,
    then: str = "correct the file and import it again",
) -> None:
    """DataRefused for the first bar that breaks a rule, with its row, the value, the rule and the next step.

    Rules: times are in the years 1 to 9999 and strictly increase; prices are positive and finite; high is not below
    low; open and close lie within [low, high] up to TOLERANCE; volume is finite and not negative. `name` is the file's
    name; `row_of` maps an index of `bars` to the row of the file, counted from 1 (the header is row 1); `then` is the
    next step.
    """
    outside = (bars.time < FIRST_SECOND) | (bars.time > LAST_SECOND)
    if outside.any():
        raise DataRefused(
            f"{name} row {row_of(int(np.argmax(outside)))}: its date is not in the years 1 to 9999; {then}"
        )
    if len(bars) > 1 and bool(np.all(np.diff(bars.time) < 0)):
        raise DataRefused(
            f"{name} row {row_of(1)}: date {written(bars.time[1])} comes before {written(bars.time[0])} in the row"
            " above: the file is newest first; sort it oldest first and import it again"
        )
    rules = [_time_rule(bars, row_of), *_bar_rules(bars)]
    broken = np.logical_or.reduce([rule.broken for rule in rules])
    count = int(np.count_nonzero(broken))
    if count == 0:
        return
    first = int(np.argmax(broken))
    what = next(rule.say(first) for rule in rules if rule.broken[first])
    more = f"; {count - 1} more rows break rules" if count > 1 else ""
    raise DataRefused(f"{name} row {row_of(first)}: {what}{more}; {then}")


def written(time: np.int64 | int) -> str:
    """A bar's time as people write it: the date, or RFC 3339 UTC where it is not midnight."""
    moment = _EPOCH + timedelta(seconds=int(time))
    return f"{moment:%Y-%m-%d}" if int(time) % DAY == 0 else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _time_rule(bars: Bars, row_of: Callable[[int], int]) -> _Rule:
    latest = np.maximum.accumulate(bars.time)
    backward = np.zeros(len(bars), np.bool_)
    backward[1:] = bars.time[1:] <= latest[:-1]

    advice = (
        "local times repeat an hour when clocks are set back: give their zone with --timezone"
        if Series.parse(bars.series).intraday
        else "bars within a day need --timeframe"
    )

    def say(i: int) -> str:
        date = written(bars.time[i])
        same = np.flatnonzero(bars.time[:i] == bars.time[i])
        if len(same):
            return f"date {date} is there twice, first in row {row_of(int(same[0]))}; a date has one row ({advice})"
        return f"date {date} comes after the later {written(latest[i - 1])}; dates must increase, oldest first"

    return _Rule(backward, say)


def _price(field: str, values: Floats) -> _Rule:
    return _Rule(
        ~((values > 0) & np.isfinite(values)),
        lambda i: f"{field} {values[i]:.10g} is not a price; prices must be positive and finite",
    )


def _within(field: str, values: Floats, bars: Bars) -> list[_Rule]:
    return [
        _Rule(
            values > bars.high * (1 + TOLERANCE),
            lambda i: f"{field} {values[i]:.10g} is above the high {bars.high[i]:.10g}; it must lie in [low, high]",
        ),
        _Rule(
            values < bars.low * (1 - TOLERANCE),
            lambda i: f"{field} {values[i]:.10g} is below the low {bars.low[i]:.10g}; it must lie in [low, high]",
        ),
    ]


def _bar_rules(bars: Bars) -> list[_Rule]:
    return [
        _price("open", bars.open),
        _price("high", bars.high),
        _price("low", bars.low),
        _price("close", bars.close),
        _Rule(
            bars.high < bars.low,
            lambda i: f"high {bars.high[i]:.10g} is below the low {bars.low[i]:.10g}; the high must be the highest",
        ),
        *_within("close", bars.close, bars),
        *_within("open", bars.open, bars),
        _Rule(
            ~((bars.volume >= 0) & np.isfinite(bars.volume)),
            lambda i: f"volume {bars.volume[i]:.10g} is not a volume; volumes must be finite and not negative",
        ),
    ]
