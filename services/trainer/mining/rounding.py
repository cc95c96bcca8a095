"""Readable thresholds: of nearly equivalent values, the roundest one as displayed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ratchet.scoring.features import FEATURE_UNIT
from ratchet.scoring.features.units import Unit, shown, stored
from ratchet.scoring.rule import Condition

_DIGITS = 4
_FINEST = 200
"""Maximum number of grid steps between the two ends; finer grids are not tried: every value counts as round."""


def roundness(condition: Condition) -> int:
    """Digits to read: 0 for 0, 1 for 70 or 0.5, 2 for 25, 3 for 42, 5 for 69.5 …"""
    value = abs(shown(_unit(condition.feature), condition.threshold))
    if value == 0.0 or not math.isfinite(value):
        return 0
    digits = f"{value:.{_DIGITS - 1}e}".partition("e")[0].replace(".", "").rstrip("0")
    return 2 * len(digits) - (1 if len(digits) == 1 or digits.endswith("5") else 0) - (digits.endswith("5"))


def round_thresholds(feature: str, low: float, high: float) -> Iterator[list[float]]:
    """Stored thresholds from `low` to `high`, round as displayed: coarse grids first, then finer ones."""
    unit = _unit(feature)
    bottom, top = shown(unit, low), shown(unit, high)
    if not (math.isfinite(bottom) and math.isfinite(top) and top > bottom):
        return
    size = math.floor(math.log10(max(abs(bottom), abs(top)))) + 1
    for power in range(size, size - _DIGITS - 2, -1):
        for step in (10.0**power, 5.0 * 10.0 ** (power - 1)):
            first, last = math.ceil(bottom / step), math.floor(top / step)
            if last - first > _FINEST:
                return
            values = [float(f"{number * step:.12g}") for number in range(first, last + 1)]
            usable = [value for value in values if unit != "times" or value > 0.0]
            if usable:
                yield [float(f"{stored(unit, value):.12g}") + 0.0 for value in usable]


def _unit(feature: str) -> Unit:
    return FEATURE_UNIT.get(feature, "plain")
