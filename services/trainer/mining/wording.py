"""A rule as a sentence: exact, in few words, with numbers in display units.

    ema_12 crossed above ema_26 within 5 bars and range above 1.2 × usual on Mondays → wider range

"Usual" is a quantity's own median over the last 250 bars. The words of a feature are part of its declaration; a feature
without words is shown as name, operator and number. Sentences are for display: a rule's identity is its canonical text,
and thresholds that agree to four significant digits read the same.
"""

from __future__ import annotations

from ratchet.scoring.features import COLUMNS, FEATURE_KIND, LIBRARY
from ratchet.scoring.features.feature import Column
from ratchet.scoring.features.units import written
from ratchet.scoring.rule import Condition, Rule
from ratchet.scoring.targets import words

_FIRST = ("cross", "candle")
"""Kinds of events: a sentence names events before states."""


def sentence(rule: Rule, target: str) -> str:
    """Premise and prediction of a rule: "rsi_14 > 70 and volume_ratio_20 > 2 → lower close"."""
    return f"{_premise(rule)} → {words(target, rule.direction)}"


def _premise(rule: Rule) -> str:
    """The conditions, joined by "and", times last: "rsi_14 > 70 on Mondays"."""
    times = [each for each in rule.conditions if _is_time(each)]
    states = [each for each in rule.conditions if each not in times]
    states.sort(key=lambda each: FEATURE_KIND.get(each.feature) not in _FIRST)
    times.sort(key=lambda each: LIBRARY.index(each.feature))
    what = " and ".join(_said(each) for each in states)
    return " ".join((*([what] if what else []), *(_said(each) for each in times)))


def _is_time(condition: Condition) -> bool:
    """Whether the words express a time ("on Mondays")."""
    return FEATURE_KIND.get(condition.feature) == "calendar" and _phrase(condition) is not None


def _said(condition: Condition) -> str:
    number = written(_column(condition).unit, condition.threshold)
    return _phrase(condition) or f"{condition.feature} {condition.op} {number}"


def _phrase(condition: Condition) -> str | None:
    phrase = _column(condition).phrase
    return phrase(condition.op, condition.threshold) if phrase else None


def _column(condition: Condition) -> Column:
    """Display column of the feature; a feature of another version is shown by its name."""
    return COLUMNS.get(condition.feature) or Column(condition.feature)
