"""The conditions that the miner considers: readable thresholds near the quantiles of each feature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.trainer.mining.rule import Bools, Condition, Floats, Op

QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
COUNTED_KINDS = ("calendar", "candle")
COUNTED_VALUES = 31
WIDEST = 0.75
"""A condition that holds more often than this says nothing."""


@dataclass(frozen=True, eq=False)
class Indicators:
    """Conditions and where they hold: `held` is bool[m, n], one line a condition."""

    conditions: tuple[Condition, ...]
    held: Bools


def conditions(X: Floats, names: Sequence[str], kinds: Mapping[str, str], rarest: float) -> Indicators:
    """All conditions on the columns of X float64[n, k] that hold on `rarest` to WIDEST of the rows."""
    kept: list[Condition] = []
    lines: list[Bools] = []
    for column, name in enumerate(names):
        values = X[:, column]
        for condition in _of_feature(name, values, kinds.get(name, "level")):
            held = condition.holds(values)
            if rarest <= float(np.mean(held)) <= WIDEST:
                kept.append(condition)
                lines.append(held)
    return Indicators(tuple(kept), np.array(lines, dtype=np.bool_).reshape(len(kept), len(X)))


def _of_feature(name: str, values: Floats, kind: str) -> list[Condition]:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return []
    if kind in COUNTED_KINDS:
        distinct = np.unique(known)
        if len(distinct) <= COUNTED_VALUES:
            skipped = 0.0 if kind == "candle" else math.nan
            return [Condition(name, "is", float(value)) for value in distinct if value != skipped]
    ops: tuple[Op, Op] = (">", "<=")
    return [Condition(name, op, threshold) for threshold in readable_thresholds(known) for op in ops]


def readable_thresholds(known: Floats) -> tuple[float, ...]:
    """The quantiles of `known`, rounded to a decimal place that still tells them apart, each once."""
    quantiles = np.quantile(known, QUANTILES)
    spread = float(quantiles[-1] - quantiles[0])
    if not spread > 0.0:
        return ()
    places = -math.floor(math.log10(spread / 20.0))
    return tuple(dict.fromkeys(float(f"{round(float(each), places):.12g}") + 0.0 for each in quantiles))
