"""The canonical text of a rule, and its id within a series and task.

    rsi_14 > 70 and weekday is 2 -> 1

Conditions are sorted, so that equal rules have equal text; thresholds keep twelve significant digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

from ratchet.events.v1 import pattern_pb2

Op = Literal[">", "<=", "is"]

SYMBOLS: dict[pattern_pb2.Operator.ValueType, Op] = {
    pattern_pb2.OPERATOR_ABOVE: ">",
    pattern_pb2.OPERATOR_AT_MOST: "<=",
    pattern_pb2.OPERATOR_EQUALS: "is",
}


def condition_text(feature: str, symbol: str, threshold: float) -> str:
    return f"{feature} {symbol} {threshold:.12g}"


def rule_text(conditions: Iterable[str], label: bool) -> str:
    """The text of a rule from the texts of its conditions, in the order given."""
    return f"{' and '.join(conditions)} -> {int(label)}"


def text_of(rule: pattern_pb2.Rule) -> str:
    """The canonical text of a contract's rule; KeyError for an unspecified operator."""
    conditions = sorted((each.feature, SYMBOLS[each.operator], each.threshold) for each in rule.conditions)
    return rule_text((condition_text(*each) for each in conditions), rule.label)


def pattern_id(text: str, series: str, task: str) -> str:
    """The id of a rule within its series and task: 16 hexadecimal digits."""
    return hashlib.sha256(f"{series}/{task}: {text}".encode()).hexdigest()[:16]
