"""Finding rules: a matrix search over conditions and their pairs, with residual pursuit.

Every condition is a line of zeros and ones, so that the hits of all candidates are one matrix product. The best
candidate is taken, what it explains is taken out of the labels, and the search goes on with the rest: a second rule
must explain what the first does not. Features that are known to matter are tried first: their conditions are paired
whatever their own strength, and of candidates about as strong theirs is taken. Nothing here is evidence: what is
carried must pass a test on other rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.trainer.mining.conditions import Indicators, conditions
from services.trainer.mining.rule import Bools, Condition, Direction, Floats, Rule

CARRIED = 20
SUPPORT = (0.03, 0.25)
PAIRED = 60
PER_FEATURE = 3
LOWEST_Z = 2.5
PAIR_GAIN = 1.1
DUPLICATE = 0.7
PREFERRED_PAIRED = 30
"""Conditions of preferred features that are paired beside the strongest PAIRED: ten features with PER_FEATURE each.

Beside and not in place of them: with eight preferred features that said nothing, places taken from the PAIRED cost a
planted pair in 6 runs of 100, places beside them in 2 (and in 4 of another 100).
"""
ABOUT_AS_STRONG = 1.05
"""A candidate on a preferred feature comes before another that is less than this factor stronger."""


@dataclass(frozen=True, eq=False)
class _Candidates:
    """`preferred` is bool[m]: the premise names a preferred feature."""

    premises: tuple[tuple[Condition, ...], ...]
    held: NDArray[np.float32]
    preferred: Bools


def search(
    X: Floats,
    names: Sequence[str],
    y: Floats,
    kinds: Mapping[str, str],
    known: Callable[[Rule], bool] = lambda rule: False,  # noqa: ARG005
    preferred: Sequence[str] = (),
) -> tuple[Rule, ...]:
    """At most CARRIED rules, the strongest first, for X float64[n, k] and labels y of 0.0 and 1.0.

    A rule for which `known` is true explains its share of the labels but is not carried. Features named in
    `preferred` are tried first; names that are not among `names` change nothing.
    """
    if float(np.std(y)) == 0.0:
        return ()
    singles = conditions(X, names, kinds, rarest=SUPPORT[0])
    if not singles.conditions:
        return ()
    candidates = _candidates(singles, y, frozenset(preferred))
    weight = np.where(candidates.preferred, ABOUT_AS_STRONG, 1.0)
    alive = np.ones(len(candidates.premises), dtype=np.bool_)
    counts = candidates.held.sum(axis=1)
    residual = y - y.mean()
    carried: list[Rule] = []
    while alive.any() and len(carried) < CARRIED:
        z = np.where(alive, _z(candidates.held, counts, residual), 0.0)
        strong = np.abs(z) >= LOWEST_Z
        if not strong.any():
            break
        best = int(np.argmax(np.where(strong, np.abs(z) * weight, 0.0)))
        direction: Direction = 1 if z[best] > 0.0 else 0
        rule = Rule(candidates.premises[best], direction)
        if not known(rule):
            carried.append(rule)
        fires = candidates.held[best] > 0.0
        both = candidates.held @ candidates.held[best]
        alive &= both / (counts + counts[best] - both) <= DUPLICATE
        residual = residual - np.where(fires, residual[fires].mean(), 0.0)
        residual = residual - residual.mean()
    return tuple(carried)


def _candidates(singles: Indicators, y: Floats, preferred: frozenset[str]) -> _Candidates:
    """The single conditions and the pairs of the best of them, within SUPPORT."""
    held = singles.held.astype(np.float32)
    counts = held.sum(axis=1)
    strength = np.abs(_z(held, counts, y - y.mean()))
    narrow = np.flatnonzero(counts <= SUPPORT[1] * len(y))
    favoured = np.array([condition.feature in preferred for condition in singles.conditions])
    best = _best(singles, strength, favoured)
    left, right = np.triu_indices(len(best), k=1)
    left, right = best[left], best[right]
    features = np.array([condition.feature for condition in singles.conditions])
    apart = features[left] != features[right]
    left, right = left[apart], right[apart]
    pairs: Bools = singles.held[left] & singles.held[right]
    support = pairs.mean(axis=1)
    within = (support >= SUPPORT[0]) & (support <= SUPPORT[1])
    left, right, pairs = left[within], right[within], pairs[within]
    lines = pairs.astype(np.float32)
    gain = np.abs(_z(lines, lines.sum(axis=1), y - y.mean()))
    worth = gain > PAIR_GAIN * np.maximum(strength[left], strength[right])
    premises = [(singles.conditions[index],) for index in narrow]
    together = [(singles.conditions[a], singles.conditions[b]) for a, b in zip(left[worth], right[worth], strict=True)]
    first = np.concatenate([favoured[narrow], (favoured[left] | favoured[right])[worth]])
    return _Candidates((*premises, *together), np.concatenate([held[narrow], lines[worth]]), first)


def _best(singles: Indicators, strength: Floats, favoured: Bools) -> NDArray[np.intp]:
    """The PAIRED strongest conditions, at most PER_FEATURE on one feature, and the strongest `favoured` (bool[m]).

    At most PREFERRED_PAIRED of the favoured are added; those that are among the strongest anyway count as well.
    """
    taken: Counter[str] = Counter()
    best: list[int] = []
    for index in np.argsort(-strength, kind="stable"):
        feature = singles.conditions[index].feature
        taken[feature] += 1
        if taken[feature] <= PER_FEATURE:
            best.append(int(index))
    first = [index for index in best if favoured[index]][:PREFERRED_PAIRED]
    return np.array(list(dict.fromkeys((*best[:PAIRED], *first))), dtype=np.intp)


def _z(held: NDArray[np.float32], counts: NDArray[np.float32], residual: Floats) -> Floats:
    """The excess of each line's residual sum in standard deviations, as if bars were independent: it only ranks."""
    n = len(residual)
    excess = (held @ residual.astype(np.float32)).astype(np.float64) - counts * residual.mean()
    spread = np.sqrt(np.maximum(residual.var() * counts * (1.0 - counts / n), 1e-12))
    z: Floats = excess / spread
    return z
