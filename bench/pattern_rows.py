# ruff: noqa: N803, N806
"""Rows with five planted rules, and labels of which nothing can be learned: what `make bench-patterns` searches.

The columns are of many kinds (persistent and not, in correlated groups, with heavy tails, bounded, counted) and the
rules' thresholds lie anywhere, not at values that a search would try. Nothing here knows how the search works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from ratchet.scoring.rule import Bools, Condition, Direction, Floats, Rule
from services.trainer.mining.mine import MiningData

ROWS, COLUMNS, RULES = 5_000, 60, 5
SUPPORT = (0.03, 0.15)
"""The share of the rows on which a planted rule fires; anywhere between them."""
CONTRADICTED = 0.15
"""The largest share of its fires on which a rule meets a rarer one of the other direction, which then has its way."""
SHARED = 0.25
"""The largest Jaccard index of two planted rules."""
WIDEST = 0.6
"""A condition of a pair holds on no more of the rows."""
PERSISTENCE = 0.9
"""Of the score whose sign is a persistent label."""

_ATTEMPTS = 100
_DAY = 86_400
_MEMORY = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
_FREE, _GROUPS, _GROUP, _HEAVY, _BOUNDED = 22, 3, 6, 8, 7
_COUNTED = ("weekday", "month", "day_of_month", "quarter_end", "candle")
NAMES = (
    *(f"level_{index}" for index in range(_FREE)),
    *(f"group_{group}_{index}" for group in range(_GROUPS) for index in range(_GROUP)),
    *(f"heavy_{index}" for index in range(_HEAVY)),
    *(f"bounded_{index}" for index in range(_BOUNDED)),
    *_COUNTED,
)
KINDS = dict.fromkeys(NAMES, "level") | dict.fromkeys(_COUNTED[:4], "calendar") | {"candle": "candle"}


@dataclass(frozen=True, eq=False)
class Planted:
    """Rows and the rules in them. P(label) is .5 ± effect as the rarest rule says that fires, .5 where none does."""

    rows: MiningData
    rules: tuple[Rule, ...]


def planted(seed: int, effect: float) -> Planted:
    """The same seed gives the same columns, rules and draws at every effect."""
    rng = np.random.default_rng([seed, 1])
    X = columns(rng)
    rules = _rules(X, rng)
    says = _says([rule.fires(X, NAMES) for rule in rules], rules)
    y = (rng.random(ROWS) < 0.5 + effect * says).astype(np.float64)
    return Planted(_rows(X, y), rules)


def shuffled(seed: int) -> MiningData:
    """Persistent labels in random order."""
    rows = persistent(seed)
    return _rows(rows.X, np.random.default_rng([seed, 2]).permutation(rows.y))


def persistent(seed: int) -> MiningData:
    """Labels that stay the same for some time, rolled by a random shift against the columns."""
    rng = np.random.default_rng([seed, 3])
    X = columns(rng)
    score = _remembering(rng, PERSISTENCE, 1)[:, 0]
    return _rows(X, np.roll(score > 0.0, int(rng.integers(ROWS))).astype(np.float64))


def columns(rng: np.random.Generator) -> Floats:
    """float64[ROWS, COLUMNS] under NAMES."""
    free = np.hstack([_remembering(rng, float(rng.choice(_MEMORY)), 1) for _ in range(_FREE)])
    groups = [_correlated(rng) for _ in range(_GROUPS)]
    heavy = np.hstack([_heavy(rng, index) for index in range(_HEAVY)])
    bounded = np.hstack([_remembering(rng, float(rng.choice(_MEMORY)), 1) for _ in range(_BOUNDED)])
    bounded = 100.0 / (1.0 + np.exp(-0.8 * bounded))
    day = np.arange(ROWS)
    counted = np.column_stack(
        [
            day % 5,
            day // 21 % 12 + 1,
            day % 21 * 30 // 21 + 1,
            day % 63 >= 58,
            100.0 * rng.choice([-1, 0, 1], ROWS, p=[0.06, 0.88, 0.06]),
        ]
    )
    return np.hstack([free, *groups, heavy, bounded, counted]).astype(np.float64)


def _remembering(rng: np.random.Generator, memory: float, width: int) -> Floats:
    """Stationary AR(1) columns of variance 1."""
    noise = rng.standard_normal((ROWS, width))
    noise[1:] *= np.sqrt(1.0 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=0), np.float64)


def _correlated(rng: np.random.Generator) -> Floats:
    """Columns that share a persistent factor: correlations of .5 to .9."""
    factor = _remembering(rng, float(rng.choice(_MEMORY[2:])), 1)
    share = np.sqrt(rng.uniform(0.5, 0.9, _GROUP))
    return np.asarray(share * factor + np.sqrt(1.0 - share**2) * _remembering(rng, 0.5, _GROUP), np.float64)


def _heavy(rng: np.random.Generator, index: int) -> Floats:
    """Ratios and returns in turn: log-normal and persistent, or of Student's t with three degrees of freedom."""
    if index % 2:
        return 0.01 * rng.standard_t(3.0, (ROWS, 1))
    return np.asarray(np.exp(0.6 * _remembering(rng, float(rng.choice(_MEMORY)), 1)), np.float64)


def _rules(X: Floats, rng: np.random.Generator) -> tuple[Rule, ...]:
    """RULES rules, of both directions in turn and of one or two conditions, the first of one, the second of two."""
    while True:
        drawn = _drawn(X, rng)
        if len(drawn) == RULES:
            return drawn


def _drawn(X: Floats, rng: np.random.Generator) -> tuple[Rule, ...]:
    """Fewer than RULES where no thresholds were found with which the rules go together."""
    turn = int(rng.integers(2))
    support = rng.uniform(*SUPPORT, RULES)
    two = [False, True, *(rng.random(RULES - 2) < 0.6)]
    named = _apart(rng)
    rules: list[Rule] = []
    for _ in range(_ATTEMPTS):
        index = len(rules)
        if index == RULES:
            break
        direction: Direction = 1 if (index + turn) % 2 else 0
        rule = _rule(X, rng, named[2 * index : 2 * index + 1 + two[index]], float(support[index]), direction)
        if rule is not None and _fit_together(X, [*rules, rule]):
            rules.append(rule)
    return tuple(rules)


def _apart(rng: np.random.Generator) -> list[int]:
    """All columns in random order, but of a correlated group only the first that comes."""
    groups = {
        column: NAMES[column].rpartition("_")[0] for column in range(COLUMNS) if NAMES[column].startswith("group")
    }
    order: dict[str, int] = {}
    for column in rng.permutation(COLUMNS).tolist():
        order.setdefault(groups.get(column, NAMES[column]), column)
    return list(order.values())


def _rule(
    X: Floats, rng: np.random.Generator, named: Sequence[int], support: float, direction: Direction
) -> Rule | None:
    """A rule on one or two columns, `named`; None where it can't have the support."""
    first = named[0]
    if len(named) == 1:
        condition = _condition(X, first, support, np.ones(ROWS, np.bool_), rng)
        return Rule((condition,), direction)
    second = named[1]
    wide = _condition(X, first, float(rng.uniform(min(support / WIDEST, WIDEST), WIDEST)), np.ones(ROWS, bool), rng)
    held = wide.holds(X[:, first])
    if held.mean() < support:
        return None
    narrow = _condition(X, second, support / float(held.mean()), held, rng)
    if narrow.holds(X[:, second]).mean() > WIDEST:
        return None
    return Rule((wide, narrow), direction)


def _condition(X: Floats, column: int, share: float, among: Bools, rng: np.random.Generator) -> Condition:
    """A condition that holds on about `share` of the rows `among`."""
    values, name = X[:, column], NAMES[column]
    if name in _COUNTED and name != "day_of_month":
        distinct = [value for value in np.unique(values) if not (name == "candle" and value == 0.0)]
        return Condition(name, "is", float(rng.choice(distinct)))
    above = rng.random() < 0.5
    threshold = float(np.quantile(values[among], 1.0 - share if above else share))
    return Condition(name, ">" if above else "<=", float(f"{threshold:.4g}"))


def _fit_together(X: Floats, rules: Sequence[Rule]) -> bool:
    """Whether each fires as often as it should, seldom against another and not where another one does."""
    fires = [rule.fires(X, NAMES) for rule in rules]
    if not all(SUPPORT[0] <= fired.mean() <= SUPPORT[1] for fired in fires):
        return False
    for index, fired in enumerate(fires):
        lost = fired & (_says(fires, rules) != (1.0 if rules[index].direction else -1.0))
        if lost.sum() > CONTRADICTED * fired.sum():
            return False
        if any((fired & other).sum() > SHARED * (fired | other).sum() for other in fires[:index]):
            return False
    return True


def _says(fires: Sequence[Bools], rules: Sequence[Rule]) -> Floats:
    """+1 where the rarest rule that fires foretells label 1, −1 where it foretells 0, 0 where none fires."""
    says = np.zeros(ROWS)
    for index in sorted(range(len(rules)), key=lambda index: -int(fires[index].sum())):
        says[fires[index]] = 1.0 if rules[index].direction else -1.0
    return says


def _rows(X: Floats, y: Floats) -> MiningData:
    return MiningData(X, NAMES, y, _DAY * np.arange(ROWS + 1))
