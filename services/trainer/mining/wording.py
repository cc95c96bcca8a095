"""A rule as a sentence that a trader would say: exact, in few words, with numbers in the units that people read.

    ema_12 crossed above ema_26 within 5 bars and range above 1.2 × usual on Mondays → wider range

"Usual" is a quantity's own median over the last 250 bars. The words of a feature are part of its declaration; where
it has none, its name, the operator and the number stand. Sentences are for reading: a rule's identity is its
canonical text, and thresholds that agree to four significant digits read the same.
"""

from __future__ import annotations

from ratchet.scoring.features import COLUMNS, FEATURE_KIND, LIBRARY
from ratchet.scoring.features.feature import Column
from ratchet.scoring.features.units import written
from ratchet.scoring.rule import Condition, Rule
from ratchet.scoring.targets import words

_FIRST = ("cross", "candle")
"""Kinds of events: what happened is said before the circumstances."""


def sentence(rule: Rule, target: str) -> str:
    """When the rule holds, and what follows for the target: "rsi_14 > 70 and volume_ratio_20 > 2 → lower close"."""
    return f"{_premise(rule)} → {words(target, rule.direction)}"


def _premise(rule: Rule) -> str:
    """What is the case, joined by "and", then when it is: "rsi_14 > 70 on Mondays"."""
    times = [each for each in rule.conditions if _is_time(each)]
    states = [each for each in rule.conditions if each not in times]
    states.sort(key=lambda each: FEATURE_KIND.get(each.feature) not in _FIRST)
    times.sort(key=lambda each: LIBRARY.index(each.feature))
    what = " and ".join(_said(each) for each in states)
    return " ".join((*([what] if what else []), *(_said(each) for each in times)))


def _is_time(condition: Condition) -> bool:
    """Whether the words say when ("on Mondays") and not what."""
    return FEATURE_KIND.get(condition.feature) == "calendar" and _phrase(condition) is not None


def _said(condition: Condition) -> str:
    number = written(_column(condition).unit, condition.threshold)
    return _phrase(condition) or f"{condition.feature} {condition.op} {number}"


def _phrase(condition: Condition) -> str | None:
    phrase = _column(condition).phrase
    return phrase(condition.op, condition.threshold) if phrase else None


def _column(condition: Condition) -> Column:
    """How the feature is read; a feature of another version is read by its name."""
    return COLUMNS.get(condition.feature) or Column(condition.feature)
