"""TA-Lib's candlestick patterns: −1 bearish, 0 none, 1 bullish (±2 if a later bar confirms an earlier pattern).

An engulfing or harami whose bodies share one end is ±0.8.
"""

from __future__ import annotations

import numpy as np
import talib

from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.features.feature import Feature, feature
from ratchet.scoring.features.phrases import coded

CODES: dict[str, str] = {
    "3INSIDE": "three inside",
    "3OUTSIDE": "three outside",
    "ADVANCEBLOCK": "advance block",
    "BELTHOLD": "belt hold",
    "CLOSINGMARUBOZU": "closing marubozu",
    "COUNTERATTACK": "counterattack",
    "DARKCLOUDCOVER": "dark cloud cover",
    "DOJI": "a doji",
    "DOJISTAR": "doji star",
    "DRAGONFLYDOJI": "a dragonfly doji",
    "ENGULFING": "engulfing",
    "EVENINGDOJISTAR": "evening doji star",
    "EVENINGSTAR": "evening star",
    "GAPSIDESIDEWHITE": "gap with side-by-side white lines",
    "GRAVESTONEDOJI": "a gravestone doji",
    "HAMMER": "hammer",
    "HANGINGMAN": "hanging man",
    "HARAMI": "harami",
    "HARAMICROSS": "harami cross",
    "HIGHWAVE": "high-wave candle",
    "HIKKAKE": "hikkake",
    "HOMINGPIGEON": "homing pigeon",
    "INNECK": "in-neck",
    "INVERTEDHAMMER": "inverted hammer",
    "LADDERBOTTOM": "ladder bottom",
    "LONGLINE": "long line",
    "MARUBOZU": "marubozu",
    "MATCHINGLOW": "matching low",
    "MORNINGDOJISTAR": "morning doji star",
    "MORNINGSTAR": "morning star",
    "ONNECK": "on-neck",
    "PIERCING": "piercing line",
    "RICKSHAWMAN": "a rickshaw man",
    "SEPARATINGLINES": "separating line",
    "SHOOTINGSTAR": "shooting star",
    "SHORTLINE": "short line",
    "SPINNINGTOP": "spinning top",
    "STALLEDPATTERN": "stalled pattern",
    "STICKSANDWICH": "stick sandwich",
    "TASUKIGAP": "tasuki gap",
    "THRUSTING": "thrusting line",
    "UNIQUE3RIVER": "unique three-river",
    "XSIDEGAP3METHODS": "gap three methods",
}
"""TA-Lib's code of each pattern, and its name; one with an article has no side."""


def _value_words(name: str) -> dict[float, str]:
    """The words for each value of a pattern."""
    if name.startswith("a "):
        return {0.0: f"no {name[2:]}", 1.0: name}
    words = {0.0: f"no {name}"}
    for sign, side in ((1.0, f"bullish {name}"), (-1.0, f"bearish {name}")):
        words[sign] = f"a {side}"
        words[2.0 * sign] = f"a confirmed {side}"
        words[0.8 * sign] = f"a {side} with one end shared"
    return words


def _candle(code: str, name: str) -> Feature:
    pattern = getattr(talib, f"CDL{code}")

    def compute(bars: Bars) -> Floats:
        return np.asarray(pattern(bars.open, bars.high, bars.low, bars.close) / 100.0, np.float64)

    return feature(f"cdl_{code.lower()}", "candle", compute, phrase=coded(_value_words(name)))


FEATURES: tuple[Feature, ...] = tuple(_candle(code, name) for code, name in CODES.items())
