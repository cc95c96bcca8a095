"""Optimises and rounds the thresholds of a candidate rule, on the rows of its search.

Each threshold first moves to the strongest value, with the other condition fixed; then to the roundest value of similar
strength. Strength is z: the excess of a residual on the rule's fires, in standard deviations for independent bars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ratchet.patterns.retention import retention_threshold
from ratchet.scoring.rule import Bools, Condition, Floats, Rule
from services.trainer.mining.conditions import has_free_threshold
from services.trainer.mining.rounding import round_thresholds, roundness

KEPT_Z_SHARE = 0.98
"""Share of its z that a rule keeps at a rounder threshold."""


RATE_MARGIN = 0.01
"""Margin of a rule's hit rate above the retention threshold, on the rows of its search."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The searched rows: X float64[n, k] under `names`, labels y [n], the kinds of the features, bounds of a rule's
    support."""

    X: Floats
    y: Floats
    names: tuple[str, ...]
    kinds: Mapping[str, str]
    support: tuple[float, float]

    def least_rate(self, direction: int) -> float:
        """The minimum hit rate of a rule with that direction."""
        base = float(self.y.mean()) if direction else 1.0 - float(self.y.mean())
        return retention_threshold(base) + RATE_MARGIN

    def hits_enough(self, fired: Bools, direction: int) -> bool:
        rate = float(self.y[fired].mean()) if fired.any() else 0.0
        return (rate if direction else 1.0 - rate) >= self.least_rate(direction)

    def column(self, feature: str) -> Floats:
        return np.asarray(self.X[:, self.names.index(feature)])

    def fires(self, rule: Rule) -> Bools:
        fired = [each.holds(self.column(each.feature)) for each in rule.conditions]
        return np.asarray(np.logical_and.reduce(fired), dtype=np.bool_)

    def supports(self, fired: Bools) -> bool:
        return self.support[0] <= float(fired.mean()) <= self.support[1]


def strength(fired: Bools, residual: Floats, direction: int) -> float:
    """z of bool[n] `fired` towards `direction`; 0 if it never or always fires."""
    n, count = len(fired), int(np.count_nonzero(fired))
    spread = math.sqrt(float(residual.var()) * count * (1.0 - count / n))
    excess = float(residual[fired].sum()) - count * float(residual.mean())
    return (excess if direction else -excess) / spread if spread > 0.0 else 0.0


def refined(rule: Rule, rows: Rows, residual: Floats) -> Rule:
    """The rule with each free threshold at its strongest value."""
    for index in range(len(rule.conditions)):
        condition = rule.conditions[index]
        if not has_free_threshold(condition, rows.kinds.get(condition.feature, "level")):
            continue
        moved = _with(rule, index, _strongest(rule, index, rows, residual))
        if strength(rows.fires(moved), residual, rule.direction) > strength(rows.fires(rule), residual, rule.direction):
            rule = moved
    return rule


def rounded(rule: Rule, rows: Rows, residual: Floats) -> Rule:
    """The rule with the roundest thresholds that keep KEPT_Z_SHARE of its z."""
    needed = KEPT_Z_SHARE * strength(rows.fires(rule), residual, rule.direction)
    by_roundness = sorted(range(len(rule.conditions)), key=lambda index: -roundness(rule.conditions[index]))
    for feature, op in [(rule.conditions[index].feature, rule.conditions[index].op) for index in by_roundness]:
        index = next(i for i, each in enumerate(rule.conditions) if (each.feature, each.op) == (feature, op))
        if has_free_threshold(rule.conditions[index], rows.kinds.get(feature, "level")):
            rule = _with(rule, index, _roundest(rule, index, rows, residual, needed))
    return rule


def _with(rule: Rule, index: int, threshold: float) -> Rule:
    changed: Sequence[Condition] = [
        replace(each, threshold=threshold) if place == index else each for place, each in enumerate(rule.conditions)
    ]
    return Rule(tuple(changed), rule.direction)


def _others(rule: Rule, index: int, rows: Rows) -> Bools:
    held = np.ones(len(rows.X), dtype=np.bool_)
    for place, each in enumerate(rule.conditions):
        if place != index:
            held &= each.holds(rows.column(each.feature))
    return held


@dataclass(frozen=True, eq=False)
class _ThresholdScores:
    """z of one condition at any threshold: sorted values of the rows that fulfil the other condition, and prefix sums.

    `sums[i]`: sum of the centred residual over the i smallest values.
    """

    values: Floats
    sums: Floats
    hits: Floats
    least_rate: float
    n: int
    variance: float
    above: bool
    sign: float
    support: tuple[float, float]

    @classmethod
    def of(cls, rule: Rule, index: int, rows: Rows, residual: Floats) -> _ThresholdScores:
        condition = rule.conditions[index]
        values = rows.column(condition.feature)
        among = _others(rule, index, rows) & np.isfinite(values)
        centred = (residual - residual.mean())[among]
        order = np.argsort(values[among], kind="stable")
        sums = np.concatenate([[0.0], np.cumsum(centred[order])])
        sign = 1.0 if rule.direction else -1.0
        came = rows.y[among][order] == float(rule.direction)
        hits = np.concatenate([[0.0], np.cumsum(came)])
        least, n, variance = rows.least_rate(rule.direction), len(values), float(residual.var())
        return cls(values[among][order], sums, hits, least, n, variance, condition.op == ">", sign, rows.support)

    def z(self, thresholds: Floats) -> Floats:
        """float64[t]; minus infinity outside the support, and below the minimum hit rate."""
        below = np.searchsorted(self.values, thresholds, side="right")
        count = (len(self.values) - below if self.above else below).astype(np.float64)
        excess = self.sums[-1] - self.sums[below] if self.above else self.sums[below]
        share = count / self.n
        spread = np.sqrt(np.maximum(self.variance * count * (1.0 - share), 1e-12))
        hits = self.hits[-1] - self.hits[below] if self.above else self.hits[below]
        inside = (share >= self.support[0]) & (share <= self.support[1]) & (hits >= self.least_rate * count)
        return np.where(inside, self.sign * excess / spread, -np.inf)


def _strongest(rule: Rule, index: int, rows: Rows, residual: Floats) -> float:
    cuts = _ThresholdScores.of(rule, index, rows, residual)
    if not len(cuts.values):
        return rule.conditions[index].threshold
    return float(cuts.values[int(np.argmax(cuts.z(cuts.values)))])


def _roundest(rule: Rule, index: int, rows: Rows, residual: Floats, needed: float) -> float:
    """The strongest sufficient threshold on the coarsest grid with one; else the current threshold."""
    cuts, condition = _ThresholdScores.of(rule, index, rows, residual), rule.conditions[index]
    if not len(cuts.values):
        return condition.threshold
    enough = cuts.values[cuts.z(cuts.values) >= needed]
    if not len(enough):
        return condition.threshold
    following = int(np.searchsorted(cuts.values, enough[-1], side="right"))
    last = float(cuts.values[min(following, len(cuts.values) - 1)])
    for values in round_thresholds(condition.feature, float(enough[0]), last):
        thresholds = np.array(values)
        z = cuts.z(thresholds)
        if z.max() >= needed:
            good = thresholds[z >= needed]
            rank = [
                (roundness(replace(condition, threshold=float(each))), -float(cuts.z(np.array([each]))[0]), each)
                for each in good
            ]
            return float(min(rank)[2])
    return condition.threshold
