"""Phrases for conditions on a column; each function builds a phrase of a feature's declaration."""

from __future__ import annotations

from ratchet.patterns.rule_text import Op
from ratchet.scoring.features.feature import Phrase
from ratchet.scoring.features.units import Unit, digits, written

WORDS: dict[Op, str] = {">": "above", "<=": "at most", "is": "exactly"}


def amount(noun: str, unit: Unit) -> Phrase:
    """ "range above 4.5 %"; a ratio refers to the usual value, the median of the last 250 bars: "above 1.2 × usual"."""
    usual = " usual" if unit == "times" else ""
    return lambda op, threshold: f"{noun} {WORDS[op]} {written(unit, threshold)}{usual}"


def distance(line: str) -> Phrase:
    """Distance of the close from a line, a fraction: "close more than 3 % above sma_20"."""

    def phrase(op: Op, threshold: float) -> str | None:
        if threshold == 0.0:
            return {">": f"close above {line}", "<=": f"close at or below {line}", "is": f"close at {line}"}[op]
        if op == ">" and threshold > 0.0:
            return f"close more than {written('percent', threshold)} above {line}"
        if op == "<=" and threshold < 0.0:
            return f"close at least {written('percent', -threshold)} below {line}"
        return None

    return phrase


def below(peak: str) -> Phrase:
    """Distance of the close below a line that it never exceeds, a negative fraction."""

    def phrase(op: Op, threshold: float) -> str | None:
        if op == "is" or threshold >= 0.0:
            return None
        return f"close {'less than' if op == '>' else 'at least'} {written('percent', -threshold)} below {peak}"

    return phrase


def above(trough: str) -> Phrase:
    """Distance of the close above a line that it never undercuts, a positive fraction."""

    def phrase(op: Op, threshold: float) -> str | None:
        if op == "is" or threshold <= 0.0:
            return None
        return f"close {'more than' if op == '>' else 'at most'} {written('percent', threshold)} above {trough}"

    return phrase


def since(event: str) -> Phrase:
    """Age of an event in bars: "highest close of 20 bars more than 4 bars ago"."""
    ages: dict[Op, str] = {">": "more than ", "<=": "at most ", "is": ""}

    def phrase(op: Op, threshold: float) -> str:
        if threshold == 0.0 and op != "is":
            return f"{event} {'before' if op == '>' else 'on'} this bar"
        return f"{event} {ages[op]}{digits(threshold)} {'bar' if threshold == 1.0 else 'bars'} ago"

    return phrase


def part(whole: str) -> Phrase:
    """A place between 0 and 1: "close in the top 20 % of the bar"."""

    def phrase(op: Op, threshold: float) -> str | None:
        share = 100.0 * (1.0 - threshold if op == ">" else threshold)
        if op == "is" or not 0.0 < threshold < 1.0 or abs(float(digits(share)) - share) > 1e-9:
            return None
        return f"close in the {'top' if op == '>' else 'bottom'} {digits(share)} % of {whole}"

    return phrase


def either(low: float, up: str, down: str) -> Phrase:
    """A column of two values, of which `low` is the lower one."""

    def phrase(op: Op, threshold: float) -> str | None:
        return {">": up, "<=": down, "is": None}[op] if threshold == low else None

    return phrase


def coded(words: dict[float, str]) -> Phrase:
    """A column of a few values, each with its own words."""
    return lambda op, threshold: words.get(threshold) if op == "is" else None
