"""Candidate conditions of the search, with a mask of the rows that fulfil each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ratchet.patterns.rule_text import Op
from ratchet.scoring.rule import Bools, Condition, Floats

QUANTILES = (0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7, 0.78, 0.85, 0.9, 0.94, 0.97)
COUNTED_KINDS = ("calendar", "candle")
COUNTED_VALUES = 31
ORDERED_FROM = 8
"""Counted features with at least this many values are also compared: day_of_month > 20."""
CROSSED_WITHIN = (0.0, 2.0, 4.0, 9.0)
"""Bars since a crossing of two lines: on this bar, within three, a week, two weeks."""
MAX_SUPPORT = 0.75
"""Upper bound of a condition's share of rows: a more frequent condition is uninformative."""


@dataclass(frozen=True, eq=False)
class ConditionMatrix:
    """Conditions and their masks: `held` is bool[m, n], one row per condition."""

    conditions: tuple[Condition, ...]
    held: Bools


def conditions(X: Floats, names: Sequence[str], kinds: Mapping[str, str], rarest: float) -> ConditionMatrix:
    """Conditions on the columns of X float64[n, k] that hold on `rarest` to MAX_SUPPORT of the rows, each mask once."""
    kept: list[Condition] = []
    lines: list[Bools] = []
    for column, name in enumerate(names):
        values = X[:, column]
        places: set[bytes] = set()
        for condition in _of_feature(name, values, kinds.get(name, "level")):
            held = condition.holds(values)
            place = held.tobytes()
            if rarest <= np.count_nonzero(held) / len(held) <= MAX_SUPPORT and place not in places:
                places.add(place)
                kept.append(condition)
                lines.append(held)
    return ConditionMatrix(tuple(kept), np.array(lines, dtype=np.bool_).reshape(len(kept), len(X)))


def has_free_threshold(condition: Condition, kind: str) -> bool:
    """Whether the threshold of a condition on a feature of that kind may take any value."""
    return condition.op != "is" and kind not in (*COUNTED_KINDS, "cross")


def _of_feature(name: str, values: Floats, kind: str) -> list[Condition]:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return []
    if kind == "cross":
        return [Condition(name, "<=", bars) for bars in CROSSED_WITHIN]
    ops: tuple[Op, Op] = (">", "<=")
    distinct = np.unique(known)
    if kind in COUNTED_KINDS and len(distinct) <= COUNTED_VALUES:
        skipped = 0.0 if kind == "candle" else math.nan
        alone = [Condition(name, "is", float(value)) for value in distinct if value != skipped]
        ordered = distinct[:-1] if len(distinct) >= ORDERED_FROM and kind == "calendar" else distinct[:0]
        return [*alone, *(Condition(name, op, float(value)) for value in ordered for op in ops)]
    quantiles = dict.fromkeys(np.quantile(known, QUANTILES).tolist())
    return [Condition(name, op, threshold) for threshold in quantiles for op in ops]
