"""TA-Lib's candlestick patterns: −1 bearish, 0 none, 1 bullish (±2 where a later bar confirms an earlier pattern)."""

from __future__ import annotations

import numpy as np
import talib

from services.trainer.data.bars import Bars, Floats
from services.trainer.features.feature import Feature, feature

CODES: tuple[str, ...] = (
    *("3INSIDE", "3OUTSIDE", "ADVANCEBLOCK", "BELTHOLD", "CLOSINGMARUBOZU", "COUNTERATTACK", "DARKCLOUDCOVER"),
    *("DOJI", "DOJISTAR", "DRAGONFLYDOJI", "ENGULFING", "EVENINGDOJISTAR", "EVENINGSTAR", "GAPSIDESIDEWHITE"),
    *("GRAVESTONEDOJI", "HAMMER", "HANGINGMAN", "HARAMI", "HARAMICROSS", "HIGHWAVE", "HIKKAKE", "HOMINGPIGEON"),
    *("INNECK", "INVERTEDHAMMER", "LADDERBOTTOM", "LONGLINE", "MARUBOZU", "MATCHINGLOW", "MORNINGDOJISTAR"),
    *("MORNINGSTAR", "ONNECK", "PIERCING", "RICKSHAWMAN", "SEPARATINGLINES", "SHOOTINGSTAR", "SHORTLINE"),
    *("SPINNINGTOP", "STALLEDPATTERN", "STICKSANDWICH", "TASUKIGAP", "THRUSTING", "UNIQUE3RIVER"),
    "XSIDEGAP3METHODS",
)


def _candle(code: str) -> Feature:
    pattern = getattr(talib, f"CDL{code}")

    def compute(bars: Bars) -> Floats:
        return np.asarray(pattern(bars.open, bars.high, bars.low, bars.close) / 100.0, np.float64)

    return feature(f"cdl_{code.lower()}", "candle", compute)


FEATURES: tuple[Feature, ...] = tuple(_candle(code) for code in CODES)
