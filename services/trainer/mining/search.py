"""Finding rules: a matrix search over conditions and all their pairs, with residual pursuit.

Every condition is a line of zeros and ones, so that the hits of all pairs are one matrix product. The best rule is
taken, what it explains is taken out of the labels, and the search goes on with the rest: a second rule must explain
what the first does not. There are hundreds of pairs for each single condition, so a pair must be stronger to be
taken: that is also what keeps a pair that adds nothing to a simpler rule out. In the end each rule moves to its best
and then its roundest thresholds, given all others. Nothing here is evidence: what is carried must pass a test on
other rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.rule import Bools, Condition, Direction, Floats, Rule
from services.trainer.mining.conditions import Indicators, conditions
from services.trainer.mining.refine import Rows, refined, rounded, strength
from services.trainer.mining.test import LAGS, excess

CARRIED = 20
SUPPORT = (0.03, 0.25)
PAIRED = 700
"""Conditions that are paired with each other, the strongest alone; those of preferred features come first."""
LOWEST_Z = {1: 2.5, 2: 4.0}
"""What a rule of one and of two conditions needs on the searched rows: about what the best of noise reaches."""
LOWEST_T = {1: 2.4, 2: 3.9}
"""The same in standard errors for series that remember: persistent noise looks strong until it is counted so."""
DUPLICATE = 0.8
"""Rules that fire on nearly the same bars: the Jaccard index from which on one of them is enough."""
ABOUT_AS_STRONG = 1.05
"""A rule on a preferred feature comes before another that is less than this factor stronger."""
SIMPLER = 0.95
"""Of near-duplicates the simplest wording is carried that has this share of the strongest one's z."""

Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Pairs:
    """All rules of one and two of m conditions; the diagonal stands for single conditions.

    `held` float32[m, n]; all others [m, m]. `counts`: fires. `ones`: fires where the label is 1. `scale`: z is the
    excess times scale over the residual's deviation, 0 where a rule has not the support, names a feature twice or is
    taken. `up`, `down`: enough of its fires are hits for label 1, for label 0. `needed`, `weight`: the least z, and
    ABOUT_AS_STRONG where a feature is preferred. `column` [m]: of the feature.
    """

    conditions: tuple[Condition, ...]
    held: Singles
    counts: Singles
    ones: Singles
    scale: Singles
    up: Bools
    down: Bools
    needed: Singles
    weight: Singles
    column: NDArray[np.intp]

    @classmethod
    def of(cls, singles: Indicators, rows: Rows, preferred: frozenset[str]) -> _Pairs:
        held = singles.held.astype(np.float32)
        counts = held @ held.T
        share = counts / held.shape[1]
        position = {name: column for column, name in enumerate(rows.names)}
        column = np.array([position[each.feature] for each in singles.conditions], dtype=np.intp)
        same = column[:, None] == column[None, :]
        np.fill_diagonal(same, False)
        allowed = (share >= SUPPORT[0]) & (share <= SUPPORT[1]) & ~same
        scale = np.where(allowed, 1.0 / np.sqrt(np.maximum(counts * (1.0 - share), 1e-6)), 0.0).astype(np.float32)
        needed = np.full(counts.shape, LOWEST_Z[2], np.float32)
        np.fill_diagonal(needed, LOWEST_Z[1])
        first = np.array([each.feature in preferred for each in singles.conditions])
        weight = np.where(first[:, None] | first[None, :], ABOUT_AS_STRONG, 1.0).astype(np.float32)
        came = held[:, rows.y == 1.0]
        ones = came @ came.T
        up, down = ones >= rows.least_rate(1) * counts, counts - ones >= rows.least_rate(0) * counts
        return cls(singles.conditions, held, counts, ones, scale, up, down, needed, weight, column)

    def z(self, fit: _LeastSquares) -> Singles:
        """z of every rule against the residual of `fit`: one matrix product over the bars that `fit` explains."""
        bars = np.flatnonzero(fit.explained)
        held = self.held[:, bars]
        explained = (held * fit.explained[bars].astype(np.float32)) @ held.T
        excess = self.ones - np.float32(fit.intercept + fit.residual.mean()) * self.counts - explained
        z = excess * self.scale / np.float32(fit.residual.std())
        return np.asarray(np.where(np.where(z > 0.0, self.up, self.down), z, np.float32(0.0)))

    def rule(self, place: tuple[int, int], direction: Direction) -> Rule:
        return Rule(tuple(self.conditions[index] for index in dict.fromkeys(place)), direction)


@dataclass(frozen=True, eq=False)
class _LeastSquares:
    """Least squares of the labels on rules: y = intercept + explained + residual, float64[n]; `explained` is 0 where no
    rule fires."""

    intercept: float
    explained: Floats
    residual: Floats

    @classmethod
    def of(cls, y: Floats, fires: Sequence[Bools]) -> _LeastSquares:
        columns = np.column_stack([np.ones(len(y)), *fires]).astype(np.float64)
        solution = np.linalg.lstsq(columns, y, rcond=None)[0]
        explained = columns[:, 1:] @ solution[1:]
        return cls(float(solution[0]), explained, y - solution[0] - explained)


def search(
    X: Floats,
    names: Sequence[str],
    y: Floats,
    kinds: Mapping[str, str],
    tested: Callable[[Rule], bool] = lambda rule: False,  # noqa: ARG005
    preferred: Sequence[str] = (),
    known: Sequence[Rule] = (),
    settled: Sequence[Rule] = (),
) -> tuple[Rule, ...]:
    """At most CARRIED rules, the strongest first, for X float64[n, k] and labels y of 0.0 and 1.0.

    A rule for which `tested` is true explains its share of the labels but is not carried; those of `known` explain
    theirs first. What nearly is a rule of `settled`, which has had its test, is not carried in other words. Features
    named in `preferred` are tried first; names that are not among `names` change nothing.
    """
    if len(y) == 0 or float(np.std(y)) == 0.0:
        return ()
    singles = conditions(X, names, kinds, rarest=SUPPORT[0])
    if not singles.conditions:
        return ()
    rows = Rows(X, y, tuple(names), kinds, SUPPORT)
    pairs = _Pairs.of(_strongest(singles, y, frozenset(preferred)), rows, frozenset(preferred))
    present = [rule for rule in known if set(rule.features) <= set(names)]
    inherited = [fired for fired in map(rows.fires, present) if fired.any()]
    found = _pursue(pairs, rows, y, inherited)
    found = _settled(found, rows, y, inherited)
    judged = [rule for rule in settled if set(rule.features) <= set(names)]
    same = [(rule, rows.fires(rule)) for rule in (*present, *judged)]
    carried = [rule for old in present for rule in _simpler(old, pairs, rows, y)]
    for rule in found:
        if not _among(rule, rows, [*same, *((each, rows.fires(each)) for each in carried)]):
            carried.append(rule)
    return tuple(rule for rule in dict.fromkeys(carried) if not tested(rule))[:CARRIED]


def _strongest(singles: Indicators, y: Floats, preferred: frozenset[str]) -> Indicators:
    """The PAIRED strongest conditions, those of preferred features first, in their order."""
    if len(singles.conditions) <= PAIRED:
        return singles
    # `strength` of each, but for the deviation of y, which is the same for all.
    count = np.count_nonzero(singles.held, axis=1)
    ones = np.count_nonzero(singles.held[:, y == 1.0], axis=1)
    z = np.abs(ones - count * y.mean()) / np.sqrt(count * (1.0 - count / len(y)))
    first = np.array([each.feature in preferred for each in singles.conditions])
    taken = np.sort(np.lexsort((-z, ~first))[:PAIRED])
    return Indicators(tuple(singles.conditions[index] for index in taken), singles.held[taken])


def _pursue(pairs: _Pairs, rows: Rows, y: Floats, inherited: Sequence[Bools]) -> list[Rule]:
    """Rules one after the other, each the strongest in what the earlier ones leave unexplained."""
    rules: list[Rule] = []
    fires = list(inherited)
    while len(rules) < CARRIED:
        fit = _LeastSquares.of(y, fires)
        if not fit.residual.std() > 0.0:
            break
        z = pairs.z(fit)
        size = np.abs(z)
        worth = np.where(size >= pairs.needed, (size * pairs.weight) ** 2 - pairs.needed**2, -1.0)
        best = np.unravel_index(int(np.argmax(worth)), worth.shape)
        if worth[best] < 0.0:
            break
        direction: Direction = 1 if z[best] > 0.0 else 0
        place = _simplest(pairs, (int(best[0]), int(best[1])), z)
        rule = refined(pairs.rule(place, direction), rows, fit.residual)
        fired = rows.fires(rule)
        rules.append(rule)
        fires.append(fired)
        pairs.scale[place], pairs.scale[place[::-1]] = 0.0, 0.0
    return rules


def _simplest(pairs: _Pairs, best: tuple[int, int], z: Singles) -> tuple[int, int]:
    """Of the rules that fire on nearly the same bars as the best one, about as strong: the simplest in words.

    That is the one of fewer conditions, then on preferred features, then on the more familiar ones: earlier columns.
    """
    line = pairs.held[best[0]] * pairs.held[best[1]]
    count = pairs.counts[best]
    close = (z * np.sign(z[best]) >= SIMPLER * abs(z[best])) & (pairs.counts * DUPLICATE <= count)
    close &= pairs.counts >= DUPLICATE * count
    candidates: list[tuple[int, tuple[bool, int, int], float, tuple[int, int]]] = []
    for left, right in zip(*np.nonzero(np.triu(close)), strict=True):
        a, b = int(left), int(right)
        both = float((pairs.held[a] * pairs.held[b]) @ line)
        if both >= DUPLICATE * (count + pairs.counts[a, b] - both):
            named = [pairs.conditions[index] for index in dict.fromkeys((a, b))]
            unfamiliar = (pairs.weight[a, b] == 1.0, int(pairs.column[a]), int(pairs.column[b]))
            candidates.append((len(named), unfamiliar, -abs(float(z[a, b])), (a, b)))
    return min(candidates, default=(0, (True, 0, 0), 0.0, best))[3]


def _settled(found: Sequence[Rule], rows: Rows, y: Floats, inherited: Sequence[Bools]) -> list[Rule]:
    """Each rule at its best thresholds given all others, then at the roundest; those that are left too weak dropped."""
    rules = list(found)
    for index in range(len(rules) - 1, -1, -1):
        others = [rows.fires(rule) for place, rule in enumerate(rules) if place != index]
        residual = _LeastSquares.of(y, [*inherited, *others]).residual
        rule = rounded(refined(rules[index], rows, residual), rows, residual)
        fired, size = rows.fires(rule), len(rule.conditions)
        strong = strength(fired, residual, rule.direction) >= LOWEST_Z[size]
        if strong and _t(fired, residual, rule.direction) >= LOWEST_T[size] and rows.hits_enough(fired, rule.direction):
            rules[index] = rule
        else:
            del rules[index]
    return rules


def _t(fired: Bools, residual: Floats, direction: Direction) -> float:
    """The excess where a rule fires in standard errors for series that remember, with the lags of the test."""
    t = excess(fired, residual, int(LAGS * math.sqrt(len(residual)))).statistic
    return t if direction else -t


def _among(rule: Rule, rows: Rows, known: Sequence[tuple[Rule, Bools]]) -> bool:
    fired = rows.fires(rule)
    return any(rule.direction == old.direction and jaccard(fired, bars) >= DUPLICATE for old, bars in known)


def _simpler(old: Rule, pairs: _Pairs, rows: Rows, y: Floats) -> list[Rule]:
    """The single condition that says about the same as a known pair on nearly the same bars, if there is one."""
    fired = rows.fires(old)
    if len(old.conditions) == 1 or not rows.supports(fired):
        return []
    needed = SIMPLER * strength(fired, y, old.direction)
    same = []
    for index in np.flatnonzero(np.diag(pairs.scale) > 0.0):
        held = pairs.held[index] > 0.0
        if jaccard(held, fired) >= DUPLICATE and strength(held, y, old.direction) >= needed:
            same.append((-strength(held, y, old.direction), pairs.rule((int(index), int(index)), old.direction)))
    return [rounded(min(same)[1], rows, y)] if same else []


def jaccard(one: Bools, other: Bools) -> float:
    """Bars on which both fire among those on which either does; 0 where none does."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 0.0
