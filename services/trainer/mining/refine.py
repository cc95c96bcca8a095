"""Better and rounder thresholds for a rule that was chosen, on the rows that chose it.

First each threshold moves to where the rule is strongest, with the other condition as it is; then to the roundest
place that keeps the strength. Strength is z: the excess of a residual where the rule fires, in standard deviations, as
if bars were independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ratchet.patterns.retention import retention_threshold
from ratchet.scoring.rule import Bools, Condition, Floats, Rule
from services.trainer.mining.conditions import movable
from services.trainer.mining.readable import round_thresholds, roundness

KEPT_STRENGTH = 0.98
"""A rounder threshold may cost a rule this much of its z: the share that it keeps."""


CLEARANCE = 0.01
"""How far above the line for keeping a rule must be on the rows that chose it."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The searched rows: X float64[n, k] under `names`, labels y [n], the kinds of the features, a rule's support."""

    X: Floats
    y: Floats
    names: tuple[str, ...]
    kinds: Mapping[str, str]
    support: tuple[float, float]

    def least_rate(self, direction: int) -> float:
        """The share of hits that a rule of that direction needs to be of use."""
        base = float(self.y.mean()) if direction else 1.0 - float(self.y.mean())
        return retention_threshold(base) + CLEARANCE

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
    """z of bool[n] `fired` towards `direction`; 0 where it never or always fires."""
    n, count = len(fired), int(np.count_nonzero(fired))
    spread = math.sqrt(float(residual.var()) * count * (1.0 - count / n))
    excess = float(residual[fired].sum()) - count * float(residual.mean())
    return (excess if direction else -excess) / spread if spread > 0.0 else 0.0


def refined(rule: Rule, rows: Rows, residual: Floats) -> Rule:
    """The rule with each movable threshold where it is strongest."""
    for index in range(len(rule.conditions)):
        condition = rule.conditions[index]
        if not movable(condition, rows.kinds.get(condition.feature, "level")):
            continue
        moved = _with(rule, index, _strongest(rule, index, rows, residual))
        if strength(rows.fires(moved), residual, rule.direction) > strength(rows.fires(rule), residual, rule.direction):
            rule = moved
    return rule


def rounded(rule: Rule, rows: Rows, residual: Floats) -> Rule:
    """The rule with the roundest thresholds that keep KEPT_STRENGTH of its z."""
    needed = KEPT_STRENGTH * strength(rows.fires(rule), residual, rule.direction)
    by_roundness = sorted(range(len(rule.conditions)), key=lambda index: -roundness(rule.conditions[index]))
    for feature, op in [(rule.conditions[index].feature, rule.conditions[index].op) for index in by_roundness]:
        index = next(i for i, each in enumerate(rule.conditions) if (each.feature, each.op) == (feature, op))
        if movable(rule.conditions[index], rows.kinds.get(feature, "level")):
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
class _Cuts:
    """z of one condition at any threshold: sorted values of the rows on which the other one holds, and sums over them.

    `sums[i]`: of the centred residual over the i smallest values.
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
    def of(cls, rule: Rule, index: int, rows: Rows, residual: Floats) -> _Cuts:
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
        """float64[t]; minus infinity outside the support, and where too few of its fires are hits."""
        below = np.searchsorted(self.values, thresholds, side="right")
        count = (len(self.values) - below if self.above else below).astype(np.float64)
        excess = self.sums[-1] - self.sums[below] if self.above else self.sums[below]
        share = count / self.n
        spread = np.sqrt(np.maximum(self.variance * count * (1.0 - share), 1e-12))
        hits = self.hits[-1] - self.hits[below] if self.above else self.hits[below]
        inside = (share >= self.support[0]) & (share <= self.support[1]) & (hits >= self.least_rate * count)
        return np.where(inside, self.sign * excess / spread, -np.inf)


def _strongest(rule: Rule, index: int, rows: Rows, residual: Floats) -> float:
    cuts = _Cuts.of(rule, index, rows, residual)
    if not len(cuts.values):
        return rule.conditions[index].threshold
    return float(cuts.values[int(np.argmax(cuts.z(cuts.values)))])


def _roundest(rule: Rule, index: int, rows: Rows, residual: Floats, needed: float) -> float:
    """The strongest on the coarsest grid that has one that is strong enough; else the threshold as it is."""
    cuts, condition = _Cuts.of(rule, index, rows, residual), rule.conditions[index]
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
