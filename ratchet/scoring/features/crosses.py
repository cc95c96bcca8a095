"""Bars since a cross of two lines: a cross is one moment, but remains relevant for some bars.

`bars_since_A_crossed_above_B` is 0 on the bar of the cross, a bar t with A[t] > B[t] and A[t−1] <= B[t−1], and counts
up to MAX_BARS_SINCE, which also stands for "not within MAX_BARS_SINCE bars". NaN only while a line is unknown. In
words, "within 5 bars" is this bar and the four before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import talib

from ratchet.patterns.rule_text import Op
from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.features import base, indicators
from ratchet.scoring.features.feature import Column, Columns, Feature, Phrase
from ratchet.scoring.features.units import digits

MAX_BARS_SINCE = 50
"""The slowest line, sma_200, is known 50 bars before the end of the 250-bar warm-up: the first bar of a file affects no
count."""
_EQUAL = 1e-9
"""Lines no further apart are equal: rounding of constant lines makes no cross."""

_COLUMNS = {
    column.name: (feature.compute, place)
    for feature in (*base.FEATURES, *indicators.FEATURES)
    for place, column in enumerate(feature.columns)
}


@dataclass(frozen=True)
class _PriceLine:
    """A line in the unit of price; `words`: its display name, if different."""

    compute: Callable[[Bars], Floats]
    words: str = ""


_PRICES: dict[str, _PriceLine] = {
    "close": _PriceLine(lambda bars: bars.close),
    "sma_20": _PriceLine(lambda bars: talib.SMA(bars.close, 20)),
    "sma_50": _PriceLine(lambda bars: talib.SMA(bars.close, 50)),
    "sma_200": _PriceLine(lambda bars: talib.SMA(bars.close, 200)),
    "ema_12": _PriceLine(lambda bars: talib.EMA(bars.close, 12)),
    "ema_26": _PriceLine(lambda bars: talib.EMA(bars.close, 26)),
    "ema_50": _PriceLine(lambda bars: talib.EMA(bars.close, 50)),
    "sar": _PriceLine(lambda bars: talib.SAR(bars.high, bars.low, 0.02, 0.2), "its parabolic SAR"),
    "supertrend_10": _PriceLine(lambda bars: talib.SUPERTREND(bars.high, bars.low, bars.close, 10, 3.0)[0]),
    "bollinger_upper_20": _PriceLine(
        lambda bars: talib.BBANDS(bars.close, 20, 2.0, 2.0)[0], "its upper Bollinger band"
    ),
    "bollinger_lower_20": _PriceLine(
        lambda bars: talib.BBANDS(bars.close, 20, 2.0, 2.0)[2], "its lower Bollinger band"
    ),
    "high_20": _PriceLine(lambda bars: trailing.lag(talib.MAX(bars.high, 20), 1), "its earlier 20-bar high"),
    "low_20": _PriceLine(lambda bars: trailing.lag(talib.MIN(bars.low, 20), 1), "its earlier 20-bar low"),
}

_Side = Literal["above", "below"]


@dataclass(frozen=True)
class _Pair:
    """Two lines by name, the second perhaps a fixed level, and the directions of counted crosses."""

    first: str
    second: str | float
    sides: tuple[_Side, ...] = ("above", "below")


_PAIRS: tuple[_Pair, ...] = (
    _Pair("close", "sma_20"),
    _Pair("close", "sma_50"),
    _Pair("close", "sma_200"),
    _Pair("close", "ema_50"),
    _Pair("ema_12", "ema_26"),
    _Pair("sma_50", "sma_200"),
    _Pair("close", "sar"),
    _Pair("close", "supertrend_10"),
    _Pair("close", "bollinger_upper_20"),
    _Pair("close", "bollinger_lower_20"),
    _Pair("close", "high_20", ("above",)),
    _Pair("close", "low_20", ("below",)),
    _Pair("macd", "macd_signal"),
    _Pair("rsi_14", 30.0),
    _Pair("rsi_14", 50.0),
    _Pair("rsi_14", 70.0),
    _Pair("stoch_k_5", "stoch_d_5"),
    _Pair("kdj_k_9", "kdj_d_9"),
    _Pair("plus_di_14", "minus_di_14"),
    _Pair("cci_14", -100.0),
    _Pair("cci_14", 100.0),
    _Pair("mfi_14", 20.0),
    _Pair("mfi_14", 80.0),
)


def _values(line: str | float, bars: Bars) -> Floats:
    if isinstance(line, float):
        return np.full(len(bars), line)
    if line in _PRICES:
        return _PRICES[line].compute(bars)
    compute, place = _COLUMNS[line]
    return compute(bars)[place]


def _difference(pair: _Pair, bars: Bars) -> Floats:
    """The first line less the second; prices as a share of the close."""
    apart = _values(pair.first, bars) - _values(pair.second, bars)
    return apart / bars.close if pair.first in _PRICES else apart


def _bars_since(above: Floats) -> Floats:
    """Bars since a difference last came to be above zero, at most LONGEST."""
    crossed = (above > _EQUAL) & np.append(False, (above <= _EQUAL)[:-1])
    at = np.arange(len(above))
    last = np.maximum.accumulate(np.where(crossed, at, -MAX_BARS_SINCE))
    return np.where(np.isnan(above), np.nan, np.minimum(at - last, MAX_BARS_SINCE))


def _columns(pair: _Pair) -> Columns:
    def compute(bars: Bars) -> tuple[Floats, ...]:
        difference = _difference(pair, bars)
        return tuple(_bars_since(difference if side == "above" else -difference) for side in pair.sides)

    return compute


def _name(line: str | float) -> str:
    return line if isinstance(line, str) else f"{line:g}".replace("-", "minus_")


def _words(line: str | float) -> str:
    if isinstance(line, float):
        return digits(line)
    return (_PRICES[line].words if line in _PRICES else "") or line


def _phrase(first: str, side: _Side, second: str) -> Phrase:
    def phrase(op: Op, threshold: float) -> str | None:
        if threshold not in range(MAX_BARS_SINCE):
            return None
        bars = int(threshold)
        if op == "is":
            return f"{first} crossed {side} {second} {bars} {'bar' if bars == 1 else 'bars'} ago"
        if bars == 0:
            return f"{first} {'crosses' if op == '<=' else 'does not cross'} {side} {second}"
        within = f"{second} within {bars + 1} bars"
        return f"{first} {'crossed' if op == '<=' else 'has not crossed'} {side} {within}"

    return phrase


def _cross(pair: _Pair) -> Feature:
    columns = (
        Column(
            f"bars_since_{pair.first}_crossed_{side}_{_name(pair.second)}",
            phrase=_phrase(_words(pair.first), side, _words(pair.second)),
        )
        for side in pair.sides
    )
    return Feature(tuple(columns), "cross", _columns(pair))


FEATURES: tuple[Feature, ...] = tuple(_cross(pair) for pair in _PAIRS)
