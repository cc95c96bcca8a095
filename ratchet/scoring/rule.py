"""A pattern: one or two conditions on named features with a direction.

    rsi_14 > 70 and volume_ratio_20 > 2 -> 1

A rule is identified by a hash of its canonical form within a series and task. It is frozen: later knowledge
about a pattern changes its evidence, never the rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.patterns import rule_text
from ratchet.patterns.rule_text import SYMBOLS, Op
from ratchet.scoring.features import FEATURE_KIND

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Direction = Literal[0, 1]
RuleKind = Literal["level", "cross", "calendar", "volume", "candle", "combination"]

OPS = tuple(SYMBOLS.values())

_CONDITION = re.compile(r"([a-z][a-z0-9_]*) (>|<=|is) (-?[0-9][0-9.e+-]*)")


@dataclass(frozen=True, order=True)
class Condition:
    """`feature op threshold`; "is" suits features of a few whole numbers, such as the weekday."""

    feature: str
    op: Op
    threshold: float

    def __post_init__(self) -> None:
        if self.op not in OPS or not math.isfinite(self.threshold):
            raise InvalidInput(f"condition {self.feature} {self.op} {self.threshold}: use > <= or is, and a number")

    def __str__(self) -> str:
        return rule_text.condition_text(self.feature, self.op, self.threshold)

    @classmethod
    def parse(cls, text: str) -> Condition:
        found = _CONDITION.fullmatch(text)
        if not found:
            raise InvalidInput(f"{text!r} is not a condition; write FEATURE > NUMBER, such as rsi_14 > 70")
        op: Op = ">" if found[2] == ">" else "<=" if found[2] == "<=" else "is"
        return cls(found[1], op, float(found[3]))

    def holds(self, values: Floats) -> Bools:
        """bool[n] for values float64[n]; NaN never holds."""
        if self.op == ">":
            return np.asarray(values > self.threshold)
        if self.op == "<=":
            return np.asarray(values <= self.threshold)
        return np.asarray(values == self.threshold)


@dataclass(frozen=True, order=True)
class Rule:
    """A rule: if all conditions hold, the label is `direction` more often than otherwise.

    Conditions are kept sorted, so that equal rules have equal text.
    """

    conditions: tuple[Condition, ...]
    direction: Direction

    def __post_init__(self) -> None:
        if len(self.conditions) not in (1, 2) or self.direction not in (0, 1):
            raise InvalidInput(f"a rule has one or two conditions and direction 0 or 1, not {self}")
        object.__setattr__(self, "conditions", tuple(sorted(self.conditions)))

    def __str__(self) -> str:
        return rule_text.rule_text(map(str, self.conditions), self.direction == 1)

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Parses the canonical text of a rule: `rsi_14 > 70 and weekday is 2 -> 1`."""
        premise, arrow, direction = text.partition(" -> ")
        if not arrow or direction not in ("0", "1"):
            raise InvalidInput(f"{text!r} is not a rule; write CONDITION and CONDITION -> 1")
        return cls(tuple(Condition.parse(part) for part in premise.split(" and ")), 1 if direction == "1" else 0)

    @property
    def premise(self) -> str:
        return " and ".join(str(condition) for condition in self.conditions)

    @property
    def features(self) -> tuple[str, ...]:
        """The features of the rule, each once, in order."""
        return tuple(dict.fromkeys(condition.feature for condition in self.conditions))

    @property
    def kind(self) -> RuleKind:
        """The kind of the rule's feature, or "combination"."""
        return "combination" if len(self.conditions) == 2 else FEATURE_KIND.get(self.conditions[0].feature, "level")

    def fires(self, X: Floats, names: Sequence[str]) -> Bools:
        """bool[n] for X float64[n, k] with columns `names`; InvalidInput for a missing feature."""
        position = {name: column for column, name in enumerate(names)}
        missing = [feature for feature in self.features if feature not in position]
        if missing:
            raise InvalidInput(f"rule {self.premise}: unknown feature {missing[0]}")
        held = [each.holds(X[:, position[each.feature]]) for each in self.conditions]
        return np.asarray(np.logical_and.reduce(held), dtype=np.bool_)


def pattern_id(rule: Rule, series: str, task: str) -> str:
    """16 hexadecimal digits that identify the rule within its series and task."""
    return rule_text.pattern_id(str(rule), series, task)
