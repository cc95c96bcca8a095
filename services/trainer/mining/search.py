"""Rule search: a matrix search over conditions and all their pairs, with residual pursuit.

Every condition is a row of zeros and ones, so that the hits of all pairs are one matrix product. The pursuit selects
the best rule, subtracts its explained part from the labels, and continues on the residual: a second rule must explain
labels that the first does not. Pairs are hundreds of times more numerous than single conditions, so a pair needs a
higher strength, which also rejects pairs that add nothing to a simpler rule. Finally each rule moves to its best and
then its roundest thresholds, given all others. The search yields no evidence: candidates must pass a test on other
rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.rule import Bools, Condition, Direction, Floats, Rule
from services.trainer.mining.conditions import ConditionMatrix, conditions
from services.trainer.mining.refine import Rows, refined, rounded, strength
from services.trainer.mining.test import LAGS, excess

MAX_CANDIDATES = 20
SUPPORT = (0.03, 0.25)
MAX_PAIRED = 700
"""Maximum number of conditions for pairing, by strength, those of preferred features first."""
MIN_Z = {1: 2.5, 2: 4.0}
"""Minimum z of rules with one and two conditions on the searched rows: about the maximum on noise."""
MIN_T = {1: 2.4, 2: 3.9}
"""The same in autocorrelation-consistent standard errors: persistent noise looks strong in plain z."""
DUPLICATE_JACCARD = 0.8
"""Jaccard index of the fires from which two rules are duplicates."""
PREFERENCE_FACTOR = 1.05
"""A rule on a preferred feature precedes another that is stronger by less than this factor."""
SIMPLER_SHARE = 0.95
"""The simplest of near-duplicates is selected among those with this share of the strongest one's z."""

Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _RuleMatrix:
    """All rules of one and two of m conditions; the diagonal holds the single conditions.

    `held` float32[m, n]; all others [m, m]. `counts`: fires. `ones`: fires with label 1. `scale`: z is the excess times
    scale over the residual's deviation, 0 for a rule outside the support, with a repeated feature, or already selected.
    `up`, `down`: sufficient hit rate for label 1, for label 0. `needed`, `weight`: the minimum z, and PREFERENCE_FACTOR
    for a preferred feature. `column` [m]: of the feature.
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
    def of(cls, singles: ConditionMatrix, rows: Rows, preferred: frozenset[str]) -> _RuleMatrix:
        held = singles.held.astype(np.float32)
        counts = held @ held.T
        share = counts / held.shape[1]
        position = {name: column for column, name in enumerate(rows.names)}
        column = np.array([position[each.feature] for each in singles.conditions], dtype=np.intp)
        same = column[:, None] == column[None, :]
        np.fill_diagonal(same, False)
        allowed = (share >= SUPPORT[0]) & (share <= SUPPORT[1]) & ~same
        scale = np.where(allowed, 1.0 / np.sqrt(np.maximum(counts * (1.0 - share), 1e-6)), 0.0).astype(np.float32)
        needed = np.full(counts.shape, MIN_Z[2], np.float32)
        np.fill_diagonal(needed, MIN_Z[1])
        first = np.array([each.feature in preferred for each in singles.conditions])
        weight = np.where(first[:, None] | first[None, :], PREFERENCE_FACTOR, 1.0).astype(np.float32)
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
    """Least squares of the labels on rules: y = intercept + explained + residual, float64[n]; `explained` is 0 on bars
    without a fire."""

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
    """Candidate rules, at most MAX_CANDIDATES, for X float64[n, k] and labels y of 0.0 and 1.0.

    A rule with `tested(rule)` explains its share of the labels but is no candidate; rules of `known` explain theirs
    first. Near-duplicates of `settled`, the tested rules that are not in force, are no candidates. Features in
    `preferred` are tried first; names that are not among `names` have no effect.
    """
    if len(y) == 0 or float(np.std(y)) == 0.0:
        return ()
    singles = conditions(X, names, kinds, rarest=SUPPORT[0])
    if not singles.conditions:
        return ()
    rows = Rows(X, y, tuple(names), kinds, SUPPORT)
    pairs = _RuleMatrix.of(_strongest(singles, y, frozenset(preferred)), rows, frozenset(preferred))
    present = [rule for rule in known if set(rule.features) <= set(names)]
    inherited = [fired for fired in map(rows.fires, present) if fired.any()]
    found = _residual_pursuit(pairs, rows, y, inherited)
    found = _settled(found, rows, y, inherited)
    judged = [rule for rule in settled if set(rule.features) <= set(names)]
    same = [(rule, rows.fires(rule)) for rule in (*present, *judged)]
    carried = [rule for old in present for rule in _simplification(old, pairs, rows, y)]
    for rule in found:
        if not _duplicates(rule, rows, [*same, *((each, rows.fires(each)) for each in carried)]):
            carried.append(rule)
    return tuple(rule for rule in dict.fromkeys(carried) if not tested(rule))[:MAX_CANDIDATES]


def _strongest(singles: ConditionMatrix, y: Floats, preferred: frozenset[str]) -> ConditionMatrix:
    """The MAX_PAIRED strongest conditions, those of preferred features first, in their order."""
    if len(singles.conditions) <= MAX_PAIRED:
        return singles
    # `strength` of each, without the deviation of y, a common factor.
    count = np.count_nonzero(singles.held, axis=1)
    ones = np.count_nonzero(singles.held[:, y == 1.0], axis=1)
    z = np.abs(ones - count * y.mean()) / np.sqrt(count * (1.0 - count / len(y)))
    first = np.array([each.feature in preferred for each in singles.conditions])
    taken = np.sort(np.lexsort((-z, ~first))[:MAX_PAIRED])
    return ConditionMatrix(tuple(singles.conditions[index] for index in taken), singles.held[taken])


def _residual_pursuit(pairs: _RuleMatrix, rows: Rows, y: Floats, inherited: Sequence[Bools]) -> list[Rule]:
    """Selects rules in sequence, each the strongest on the residual of the earlier ones."""
    rules: list[Rule] = []
    fires = list(inherited)
    while len(rules) < MAX_CANDIDATES:
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
        place = _simplest_equivalent(pairs, (int(best[0]), int(best[1])), z)
        rule = refined(pairs.rule(place, direction), rows, fit.residual)
        fired = rows.fires(rule)
        rules.append(rule)
        fires.append(fired)
        pairs.scale[place], pairs.scale[place[::-1]] = 0.0, 0.0
    return rules


def _simplest_equivalent(pairs: _RuleMatrix, best: tuple[int, int], z: Singles) -> tuple[int, int]:
    """The simplest of the near-duplicates of the best rule with similar strength.

    Order: fewer conditions, then preferred features, then more familiar ones (earlier columns).
    """
    line = pairs.held[best[0]] * pairs.held[best[1]]
    count = pairs.counts[best]
    close = (z * np.sign(z[best]) >= SIMPLER_SHARE * abs(z[best])) & (pairs.counts * DUPLICATE_JACCARD <= count)
    close &= pairs.counts >= DUPLICATE_JACCARD * count
    candidates: list[tuple[int, tuple[bool, int, int], float, tuple[int, int]]] = []
    for left, right in zip(*np.nonzero(np.triu(close)), strict=True):
        a, b = int(left), int(right)
        both = float((pairs.held[a] * pairs.held[b]) @ line)
        if both >= DUPLICATE_JACCARD * (count + pairs.counts[a, b] - both):
            named = [pairs.conditions[index] for index in dict.fromkeys((a, b))]
            unfamiliar = (pairs.weight[a, b] == 1.0, int(pairs.column[a]), int(pairs.column[b]))
            candidates.append((len(named), unfamiliar, -abs(float(z[a, b])), (a, b)))
    return min(candidates, default=(0, (True, 0, 0), 0.0, best))[3]


def _settled(found: Sequence[Rule], rows: Rows, y: Floats, inherited: Sequence[Bools]) -> list[Rule]:
    """Each rule at its best thresholds given all others, then at the roundest; rules that become too weak are
    dropped."""
    rules = list(found)
    for index in range(len(rules) - 1, -1, -1):
        others = [rows.fires(rule) for place, rule in enumerate(rules) if place != index]
        residual = _LeastSquares.of(y, [*inherited, *others]).residual
        rule = rounded(refined(rules[index], rows, residual), rows, residual)
        fired, size = rows.fires(rule), len(rule.conditions)
        strong = strength(fired, residual, rule.direction) >= MIN_Z[size]
        if strong and _t(fired, residual, rule.direction) >= MIN_T[size] and rows.hits_enough(fired, rule.direction):
            rules[index] = rule
        else:
            del rules[index]
    return rules


def _t(fired: Bools, residual: Floats, direction: Direction) -> float:
    """t statistic of the excess on a rule's fires, autocorrelation-consistent, with the lags of the test."""
    t = excess(fired, residual, int(LAGS * math.sqrt(len(residual)))).statistic
    return t if direction else -t


def _duplicates(rule: Rule, rows: Rows, known: Sequence[tuple[Rule, Bools]]) -> bool:
    fired = rows.fires(rule)
    return any(rule.direction == old.direction and jaccard(fired, bars) >= DUPLICATE_JACCARD for old, bars in known)


def _simplification(old: Rule, pairs: _RuleMatrix, rows: Rows, y: Floats) -> list[Rule]:
    """The single condition that is nearly equivalent to a known pair, if any."""
    fired = rows.fires(old)
    if len(old.conditions) == 1 or not rows.supports(fired):
        return []
    needed = SIMPLER_SHARE * strength(fired, y, old.direction)
    same = []
    for index in np.flatnonzero(np.diag(pairs.scale) > 0.0):
        held = pairs.held[index] > 0.0
        if jaccard(held, fired) >= DUPLICATE_JACCARD and strength(held, y, old.direction) >= needed:
            same.append((-strength(held, y, old.direction), pairs.rule((int(index), int(index)), old.direction)))
    return [rounded(min(same)[1], rows, y)] if same else []


def jaccard(one: Bools, other: Bools) -> float:
    """Jaccard index: bars on which both fire over bars on which either fires; 0 without fires."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 0.0
