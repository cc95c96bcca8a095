"""Series whose rules are known, because they were planted; without rules, series of which nothing can be learned.

What rules speak of is drawn first: volumes, the sizes of moves and ranges, and the calendar. None of it depends on
the signs of the moves, which are drawn last, each by the rules that fired on the bar before. A bar with the other sign
is its mirror image, so that the features that rules name stay as they were, and generation needs no loop over bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ratchet.patterns.rule_text import Op
from ratchet.scoring import features
from ratchet.scoring.data.bars import WARM_UP, Bars
from ratchet.scoring.features import BASE
from ratchet.scoring.rule import Bools, Condition, Direction, Floats, Rule

USABLE = 3_000
BARS = WARM_UP + USABLE + 1
"""The last bar only completes the label of the one before it."""

FIRES = (0.09, 0.19)
"""The share of a series' usable bars on which a planted rule fires."""
CONTRADICTED = 0.1
"""The share of its fires on which a rule may meet one of the other direction: there the next move is a coin's."""

LEVELS_OF_BASE = (
    *("volume_ratio_20", "range_1", "volume_regime", "volume_regime_5", "range_regime", "range_regime_5"),
    *("move_regime", "move_regime_5", "volatility_5", "volatility_regime_5", "volatility_10"),
)
LEVELS_OF_LIBRARY = ("pvo_12_26", "facilitation_1")
"""The levels beyond BASE that do not depend on the signs of the moves."""
CALENDAR = (
    *(Condition("weekday", "is", float(day)) for day in range(5)),
    Condition("day_of_month", "<=", 10.0),
    Condition("day_of_month", ">", 20.0),
)
_NAMED = (*LEVELS_OF_BASE, *LEVELS_OF_LIBRARY, "weekday", "day_of_month")

_ATTEMPTS = 20_000


def series(seed: int, rules: int = 3, strength: float = 0.8) -> tuple[Bars, tuple[Rule, ...]]:
    """BARS daily bars and the rules planted in them for `direction`, one bar ahead. The same seed, the same series.

    Where a rule fires and none of the other direction does, the next close goes its way with probability `strength`;
    everywhere else with one half. Each rule fires on FIRES of the usable bars. One in three names base features alone,
    the others name at least one feature that only mining brings into a model.
    """
    rng = np.random.default_rng([seed, rules])
    shape = _shape(rng)
    name = f"PLANTED-{seed}" if rules else f"NULL-{seed}"
    table = features.compute(_bars(name, shape, np.ones(BARS)), _NAMED)
    planted = _rules(table, rules, rng)
    up = np.full(BARS, 0.5)
    up[1:] += (strength - 0.5) * _says(table, planted)[:-1]
    sign = np.where(rng.random(BARS) < up, 1.0, -1.0)
    return _bars(name, shape, sign), planted


@dataclass(frozen=True, eq=False)
class _Shape:
    """Everything of the bars but the signs of their moves; each array is [BARS].

    `move`, `gap`: log of close and of open against the close before, as they are in a rising bar. `extent`: high less
    low as a share of the close. `lean`: how the part of the range beyond open and close lies above and below them.
    """

    time: NDArray[np.int64]
    move: Floats
    gap: Floats
    extent: Floats
    lean: Floats
    volume: Floats


def _shape(rng: np.random.Generator) -> _Shape:
    """Volatility comes in clusters, volume follows its own past and the volatility; five bars a week."""
    days = np.datetime64("2006-01-02") + np.arange(2 * BARS)
    weekdays = days[np.is_busday(days)][:BARS]
    heat = _autoregressive(rng, 0.96, 0.4)
    spread = 0.012 * np.exp(heat)
    move = np.maximum(spread * np.abs(rng.standard_normal(BARS)), 1e-5)
    gap = 0.3 * spread * rng.standard_normal(BARS)
    body = np.expm1(np.abs(move - gap))
    extent = body + spread * rng.gamma(2.0, 0.4, BARS)
    crowd = 0.4 * heat + _autoregressive(rng, 0.7, 0.35) + 0.2 * rng.standard_normal(BARS)
    return _Shape(
        time=weekdays.astype("datetime64[s]").astype(np.int64),
        move=move,
        gap=gap,
        extent=extent,
        lean=rng.random(BARS),
        volume=np.round(1e6 * np.exp(crowd)),
    )


def _autoregressive(rng: np.random.Generator, persistence: float, deviation: float) -> Floats:
    """A stationary AR(1) of that standard deviation, mean 0."""
    noise = rng.standard_normal(BARS) * deviation * np.sqrt(1.0 - persistence**2)
    noise[0] /= np.sqrt(1.0 - persistence**2)
    return np.asarray(lfilter([1.0], [1.0, -persistence], noise), np.float64)


def _bars(name: str, shape: _Shape, sign: Floats) -> Bars:
    """The bars, each move in the direction of its sign, +1 or −1."""
    move, gap = sign * shape.move, sign * shape.gap
    close = 100.0 * np.exp(np.cumsum(move))
    opened = close * np.exp(gap - move)
    beyond = shape.extent * close - np.abs(opened - close)
    high = np.maximum(opened, close) + shape.lean * beyond
    return Bars(name, shape.time, opened, high, high - shape.extent * close, close, shape.volume)


def _says(table: Floats, rules: Sequence[Rule]) -> Floats:
    """+1 where rules for label 1 fire alone, −1 where those for label 0 do, else 0; float64[n]."""
    up, down = (_any(table, [rule for rule in rules if rule.direction == label]) for label in (1, 0))
    return up.astype(np.float64) - down.astype(np.float64)


def _any(table: Floats, rules: Sequence[Rule]) -> Bools:
    fired = np.zeros(len(table), np.bool_)
    for rule in rules:
        fired |= rule.fires(table, _NAMED)
    return fired


def _rules(table: Floats, count: int, rng: np.random.Generator) -> tuple[Rule, ...]:
    """Rules that fire as often as they should and seldom contradict each other, of both directions in turn."""
    usable = table[WARM_UP:-1]
    kinds = (_of_base, _of_library, _of_both)
    first = int(rng.integers(2))
    for _ in range(_ATTEMPTS):
        drawn = []
        for index in range(count):
            direction: Direction = 1 if (index + first) % 2 else 0
            drawn.append(Rule(kinds[index % len(kinds)](usable, rng), direction))
        if _fit_together(usable, drawn):
            return tuple(drawn)
    raise ValueError(f"no {count} rules of which each fires on {FIRES} of the bars and contradicts few others")


def _fit_together(usable: Floats, rules: Sequence[Rule]) -> bool:
    fires = [rule.fires(usable, _NAMED) for rule in rules]
    if not all(FIRES[0] <= fired.mean() <= FIRES[1] for fired in fires):
        return False
    for rule, fired in zip(rules, fires, strict=True):
        against = _any(usable, [other for other in rules if other.direction != rule.direction])
        if (fired & against).sum() > CONTRADICTED * fired.sum():
            return False
    return True


def _of_base(usable: Floats, rng: np.random.Generator) -> tuple[Condition, ...]:
    return (_level(usable, LEVELS_OF_BASE, rng.uniform(*FIRES), rng),)


def _of_library(usable: Floats, rng: np.random.Generator) -> tuple[Condition, ...]:
    return (_level(usable, LEVELS_OF_LIBRARY, rng.uniform(*FIRES), rng),)


def _of_both(usable: Floats, rng: np.random.Generator) -> tuple[Condition, ...]:
    """A calendar condition, or one on a base feature, together with one on a feature of the library."""
    if rng.random() < 0.5:
        other = CALENDAR[int(rng.integers(len(CALENDAR)))]
    else:
        other = _level(usable, LEVELS_OF_BASE, rng.uniform(0.25, 0.5), rng)
    return _level(usable, LEVELS_OF_LIBRARY, rng.uniform(0.3, 0.7), rng), other


def _level(usable: Floats, names: Sequence[str], share: float, rng: np.random.Generator) -> Condition:
    """A condition that holds on about `share` of the rows: the feature above, or not above, a rounded quantile."""
    name = names[int(rng.integers(len(names)))]
    op: Op = ">" if rng.random() < 0.5 else "<="
    values = usable[:, _NAMED.index(name)]
    threshold = float(np.quantile(values[np.isfinite(values)], 1.0 - share if op == ">" else share))
    return Condition(name, op, float(f"{threshold:.3g}"))


def from_mining_alone(rule: Rule) -> bool:
    """Whether the rule names a feature that a first version does not see."""
    return not set(rule.features) <= set(BASE)
