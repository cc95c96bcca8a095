"""Display units of features, if different from the stored units.

Fractions are displayed as percent, and logs of a ratio as the ratio: 0.03 as "3 %", log(1.5) as "1.5 ×".
"""

from __future__ import annotations

import math
from typing import Literal

from ratchet.errors import InvalidInput

Unit = Literal["plain", "percent", "times"]

_DIGITS = 4
_PLACES = 12
"""Decimal places beyond which a number is written with an exponent."""


def shown(unit: Unit, stored: float) -> float:
    """The displayed value of a stored one: percent 100·v, times exp(v), which is infinite from 710 on."""
    if unit == "percent":
        return 100.0 * stored
    if unit == "times":
        return math.exp(stored) if stored < 709.0 else math.inf
    return stored


def stored(unit: Unit, shown: float) -> float:
    """The stored value of a displayed one; InvalidInput for a ratio that is not above 0."""
    if unit == "percent":
        return shown / 100.0
    if unit == "times":
        if not shown > 0.0:
            raise InvalidInput(f"{shown} × has no logarithm; use a ratio above 0")
        return math.log(shown)
    return shown


def written(unit: Unit, stored: float) -> str:
    """The text of a stored value, with at most four significant digits: "70", "3 %", "1.5 ×"."""
    number = digits(shown(unit, stored))
    return {"plain": number, "percent": f"{number} %", "times": f"{number} ×"}[unit]


def digits(number: float) -> str:
    """At most four significant digits, without an exponent for readable magnitudes: 0.00002, 12350."""
    text = f"{number:.{_DIGITS}g}"
    if "e" in text and 1e-6 <= abs(number) < 1e9:
        text = f"{float(text):.{_PLACES}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
