"""Text of patterns, their states and numbers, for all commands."""

from __future__ import annotations

from ratchet.cli.output import enum_word, fixed
from ratchet.cli.sparkline import sparkline
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1.knowledge_pb2 import KnownPattern
from ratchet.names import Target, Task

IN_FORCE = (pattern_pb2.PATTERN_STATE_KEPT, pattern_pb2.PATTERN_STATE_CONFIRMED)
"""States of the patterns that new models use."""

SHORT_ID = 8
"""Displayed digits of an id; every command accepts an unambiguous prefix."""

NO_VALUE = "-"

_OUTCOMES: dict[Target, tuple[str, str, str]] = {
    "direction": ("the close of {bar} was higher", "the close of {bar} was not higher", ""),
    "range": (
        "the range of {bar} was wider than usual",
        "the range of {bar} was not wider than usual",
        "the median of the 250 bars before",
    ),
    "volatility": (
        "the volatility of {bars} was higher than usual",
        "the volatility of {bars} was not higher than usual",
        "the median of the 250 bars before",
    ),
    "volume": (
        "the volume of {bar} was higher than usual",
        "the volume of {bar} was not higher than usual",
        "the mean of the 20 bars before",
    ),
}


def short_id(pattern_id: str) -> str:
    return pattern_id[:SHORT_ID]


def scope(known: KnownPattern) -> str:
    return f"{known.pattern.series}/{known.pattern.task}"


def state_of(state: pattern_pb2.PatternState.ValueType) -> str:
    """kept, confirmed, retired, refuted, offered, covered; undecided before the end of the first test."""
    if state == pattern_pb2.PATTERN_STATE_UNSPECIFIED:
        return "undecided"
    return enum_word(pattern_pb2.PatternState.Name(state), "PATTERN_STATE_").lower()


def state_with_reference(known: KnownPattern) -> str:
    """The state; with the covering pattern of a covered one, and the source series of an offered one."""
    if known.state == pattern_pb2.PATTERN_STATE_COVERED and known.covered_by:
        return f"covered by {short_id(known.covered_by)}"
    if known.state == pattern_pb2.PATTERN_STATE_OFFERED:
        return f"offered from {known.offer.series}"
    return state_of(known.state)


def has_evidence(counts: pattern_pb2.PatternCounts) -> bool:
    return counts.bars > 0


def confidence(counts: pattern_pb2.PatternCounts) -> str:
    """`0.66 [0.61, 0.71]`."""
    if not has_evidence(counts):
        return NO_VALUE
    return f"{fixed(counts.confidence, 2)} [{fixed(counts.low, 2)}, {fixed(counts.high, 2)}]"


def base(counts: pattern_pb2.PatternCounts) -> str:
    return fixed(counts.base_rate, 2) if has_evidence(counts) else NO_VALUE


def lift(counts: pattern_pb2.PatternCounts) -> str:
    """Confidence over base rate."""
    return fixed(counts.confidence / counts.base_rate, 2) if counts.base_rate else NO_VALUE


def hits(counts: pattern_pb2.PatternCounts) -> str:
    return f"{counts.hits}/{counts.support}" if has_evidence(counts) else NO_VALUE


def confidence_sparkline(known: KnownPattern) -> str:
    """Sparkline of the confidence after each session, ▁ at the current base rate or below, █ at 1."""
    return sparkline(known.confidences, known.counts.base_rate, 1.0)


def describe_rule(known: KnownPattern) -> str:
    """The rule's prediction with its frequencies, on the bars that tested it."""
    outcome = _outcome(known.pattern)
    claim = f"where it fires, {outcome.replace(' was ', ' is ')} more often than on other bars"
    counts = known.counts
    if not has_evidence(counts):
        return f"no evidence here; it says: {claim}"
    everywhere = f"on all {counts.bars:,} {_bars(counts.bars)} {percent(counts.base_rate)}"
    if not counts.support:
        return f"it fired on no bar yet; it says: {claim}; {everywhere}"
    share = percent(counts.hits / counts.support)
    fired = f"{counts.support:,} {_bars(counts.support)}"
    return f"where it fired, {outcome} on {share} of {fired}; {everywhere}"


def usual_definition(pattern: pattern_pb2.Pattern) -> str:
    """The definition of "usual" for the pattern's target; empty for a target without a comparison."""
    return _OUTCOMES[Task.parse(pattern.task).target][2]


def _outcome(pattern: pattern_pb2.Pattern) -> str:
    """The rule's predicted outcome, in the past tense."""
    task = Task.parse(pattern.task)
    up, down, _ = _OUTCOMES[task.target]
    bar = "the next bar" if task.horizon == 1 else f"the bar {task.horizon} ahead"
    bars = "the next bar" if task.horizon == 1 else f"the next {task.horizon} bars"
    return (up if pattern.rule.label else down).format(bar=bar, bars=bars)


def percent(share: float) -> str:
    return f"{fixed(100 * share, 0)} %"


def _bars(count: int) -> str:
    return "bar" if count == 1 else "bars"


def task_options(task: str) -> list[str]:
    """--target and, unless it is the default, --horizon."""
    parsed = Task.parse(task)
    dash, horizon = task.rpartition("-h")[1:]
    return ["--target", parsed.target, *(["--horizon", horizon] if dash else [])]
