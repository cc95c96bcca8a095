"""Bars and their validation rules."""

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
from ratchet.patterns.snapshot_rows import RowRange
from ratchet.scoring.data.zones import DAY, offsets
from ratchet.scoring.data.zones import Times as Times
from ratchet.timestamps import FIRST_SECOND, LAST_SECOND

Floats: TypeAlias = NDArray[np.float64]

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")

WARM_UP = 250
"""Bars at the start of a series that are not used for training."""

TOLERANCE = 1e-6
"""Relative tolerance of an open or close outside [low, high]: exports of 32-bit floats differ that much."""

STANDING = 5
"""Minimum run of bars with one price and no volume that counts as a market without trade."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Bars:
    """The bars of one series, oldest first.

    `time` is int64[n], epoch seconds UTC, strictly increasing (daily bars: midnight of the date); prices and volume are
    float64[n]; `zone` is the IANA name of the market's time zone. `check` validates the rules.
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

    @property
    def has_volume(self) -> bool:
        """Whether any bar has a volume: a series of a currency or an index may have none."""
        return bool(self.volume.any())

    def standstills(self) -> tuple[RowRange, ...]:
        """The rows of bars without trade, a range for each run, oldest first.

        A run is STANDING or more consecutive bars with volume 0 and a single price for all open, high, low and close.
        In a series without volume the price alone decides.
        """
        stands, run = self._standing()
        _, start, length = np.unique(run[stands], return_index=True, return_counts=True)
        return tuple(map(RowRange, np.flatnonzero(stands)[start].tolist(), length.tolist()))

    def traded(self) -> Bars:
        """These bars without their standstills."""
        stands, _ = self._standing()
        return self._select(~stands) if stands.any() else self

    def _standing(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Mask of the bars without trade, and the run number of each bar."""
        still: NDArray[np.bool_] = self.volume == 0
        for price in (self.open, self.high, self.low):
            still = still & (price == self.close)
        continues = np.zeros(len(self), np.bool_)
        continues[1:] = still[1:] & still[:-1] & (self.close[1:] == self.close[:-1])
        run = np.cumsum(~continues, dtype=np.int64)
        long_enough = np.bincount(run)[run] >= STANDING
        return np.logical_and(still, long_enough), run

    def head(self, n: int) -> Bars:
        """The first `n` bars."""
        return self._select(slice(n))

    def until(self, epoch_seconds: int) -> Bars:
        """The bars up to `epoch_seconds`, inclusive."""
        return self.head(int(np.searchsorted(self.time, epoch_seconds, side="right")))

    def _select(self, rows: slice | NDArray[np.bool_]) -> Bars:
        selected: dict[str, Any] = {name: getattr(self, name)[rows] for name in ("time", *COLUMNS)}
        return replace(self, **selected)


@dataclass(frozen=True)
class _Rule:
    broken: NDArray[np.bool_]
    describe: Callable[[int], str]


def check(
    bars: Bars,
    name: str,
    row_of: Callable[[int], int] = lambda index: index + 2,
    remedy: str = "correct the file and import it again",
) -> None:
    """DataRefused for the first bar that breaks a rule, with its row, the value, the rule and the next step.

    Rules: times are in the years 1 to 9999 and strictly increase; prices are positive and finite; high is not below
    low; open and close lie within [low, high] up to TOLERANCE; volume is finite and not negative. `name` is the file's
    name; `row_of` maps an index of `bars` to the row of the file, counted from 1 (the header is row 1); `remedy` is the
    next step.
    """
    outside = (bars.time < FIRST_SECOND) | (bars.time > LAST_SECOND)
    if outside.any():
        raise DataRefused(
            f"{name} row {row_of(int(np.argmax(outside)))}: its date is not in the years 1 to 9999; {remedy}"
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
    problem = next(rule.describe(first) for rule in rules if rule.broken[first])
    more = f"; {count - 1} more rows break rules" if count > 1 else ""
    raise DataRefused(f"{name} row {row_of(first)}: {problem}{more}; {remedy}")


def written(time: np.int64 | int) -> str:
    """Text of a bar's time: the date at midnight UTC, else RFC 3339 UTC."""
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

    def describe(i: int) -> str:
        date = written(bars.time[i])
        same = np.flatnonzero(bars.time[:i] == bars.time[i])
        if len(same):
            return f"date {date} is there twice, first in row {row_of(int(same[0]))}; a date has one row ({advice})"
        return f"date {date} comes after the later {written(latest[i - 1])}; dates must increase, oldest first"

    return _Rule(backward, describe)


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
