"""Classic technical indicators."""

from __future__ import annotations

import numpy as np
import talib

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.features.feature import Column, Feature, columns, feature
from ratchet.scoring.features.phrases import amount, distance, part


def _returns(bars: Bars, over: int) -> Floats:
    return trailing.change(np.log(bars.close), over)


def _ema_gap(bars: Bars, period: int) -> Floats:
    return np.asarray(bars.close / talib.EMA(bars.close, period) - 1)


def _macd(bars: Bars) -> tuple[Floats, ...]:
    return tuple(line / bars.close for line in talib.MACD(bars.close))


def _bollinger(bars: Bars) -> tuple[Floats, ...]:
    upper, middle, lower = talib.BBANDS(bars.close, 20, 2.0, 2.0)
    return (bars.close - lower) / (upper - lower), (upper - lower) / middle


def _close_position(bars: Bars) -> Floats:
    """Position of the close in the bar: 0 at the low, 1 at the high, one half in a bar without range."""
    spread = bars.high - bars.low
    return np.where(spread > 0, (bars.close - bars.low) / np.where(spread > 0, spread, 1.0), 0.5)


FEATURES: tuple[Feature, ...] = (
    feature("return_1", "level", lambda bars: _returns(bars, 1), "percent"),
    feature("return_5", "level", lambda bars: _returns(bars, 5), "percent"),
    feature("return_10", "level", lambda bars: _returns(bars, 10), "percent"),
    feature("return_20", "level", lambda bars: _returns(bars, 20), "percent"),
    feature("rsi_14", "level", lambda bars: talib.RSI(bars.close, 14)),
    feature("ema_gap_12", "level", lambda bars: _ema_gap(bars, 12), "percent", distance("ema_12")),
    feature("ema_gap_26", "level", lambda bars: _ema_gap(bars, 26), "percent", distance("ema_26")),
    feature("ema_gap_50", "level", lambda bars: _ema_gap(bars, 50), "percent", distance("ema_50")),
    feature("ema_gap_200", "level", lambda bars: _ema_gap(bars, 200), "percent", distance("ema_200")),
    Feature(columns("macd", "macd_signal", "macd_histogram", unit="percent"), "level", _macd),
    feature("atr_14", "level", lambda bars: talib.ATR(bars.high, bars.low, bars.close, 14) / bars.close, "percent"),
    Feature((Column("bollinger_position_20"), Column("bollinger_width_20", "percent")), "level", _bollinger),
    feature("adx_14", "level", lambda bars: talib.ADX(bars.high, bars.low, bars.close, 14)),
    feature(
        "range_1", "level", lambda bars: (bars.high - bars.low) / bars.close, "percent", amount("range", "percent")
    ),
    feature("close_position", "level", _close_position, phrase=part("the bar")),
    feature(
        "gap_1",
        "level",
        lambda bars: np.log(bars.open / trailing.lag(bars.close, 1)),
        "percent",
        amount("opening gap", "percent"),
    ),
    feature("volume_ratio_20", "volume", lambda bars: bars.volume / trailing.mean(bars.volume, 20)),
)
