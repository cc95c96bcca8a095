"""Sentences on gains, computed from the intervals: better or worse only if 0 is excluded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.backtest.bar_times import format_day
from ratchet.backtest.compare import Finding, Gain, Score, best_baseline
from ratchet.backtest.result import ALWAYS, NEVER, SCRATCH, Loop, Result, is_baseline
from ratchet.names import baseline_words
from ratchet.statistics.scores import CLASS_ROWS, Interval

AGAINST = {
    ALWAYS: "always replacing",
    NEVER: "never retraining",
    SCRATCH: "training from scratch each time",
}
CLAIM: dict[Finding, str] = {
    "better": "better than",
    "worse": "worse than",
    "not shown": "not shown to differ from",
}


@dataclass(frozen=True)
class Sentence:
    """Finding on `ratchet` against an arm; `against`: the arm's name; `measured`: the gain as text."""

    arm: str
    finding: Finding
    against: str
    measured: str

    @property
    def text(self) -> str:
        return f"Against {self.against}: {self.finding} ({self.measured})."


def arm_name(arm: str) -> str:
    """The display name of an arm."""
    return baseline_words(arm) if is_baseline(arm) else arm


def comparisons(scores: Sequence[Score]) -> tuple[Sentence, ...]:
    """A sentence for each arm that `ratchet` is compared with."""
    return tuple(
        Sentence(score.arm, score.gain.finding, AGAINST.get(score.arm, arm_name(score.arm)), _gain_text(score.gain))
        for score in scores
        if score.gain is not None
    )


def _gain_text(gain: Gain) -> str:
    if math.isnan(gain.brier.value):
        return f"not defined: fewer than {CLASS_ROWS} bars of one class"
    if math.isnan(gain.brier.low):
        return "the same forecasts on every bar" if gain.brier.value == 0.0 else "no interval can be estimated"
    holds = "; the interval holds 0" if gain.finding == "not shown" else ""
    return f"Brier {percent(gain.percent)}{holds}"


def headline(result: Result, scores: Sequence[Score]) -> str:
    """One sentence: is `ratchet` better than the best baseline?"""
    best = best_baseline(scores)
    count = sum(1 for score in scores if is_baseline(score.arm))
    (sentence,) = (one for one in comparisons(scores) if one.arm == best.arm)
    return (
        f"On {len(result.times):,} bars that no model in force had seen, ratchet is {CLAIM[sentence.finding]}"
        f" {sentence.against}, the best of {count} baselines ({sentence.measured})."
    )


def by_finding(sentences: Sequence[Sentence]) -> dict[Finding, str]:
    """The arms that `ratchet` is better than, worse than, and not shown to differ from; in words, each arm once."""
    count = sum(1 for sentence in sentences if is_baseline(sentence.arm))
    said: dict[Finding, str] = {}
    for finding in CLAIM:
        found = [sentence for sentence in sentences if sentence.finding == finding]
        trained = [sentence.against for sentence in found if not is_baseline(sentence.arm)]
        baselines = [sentence.against for sentence in found if is_baseline(sentence.arm)]
        parts = [_join_names(trained)] if trained else []
        if baselines:
            one = "the baseline" if len(baselines) == 1 else "the baselines"
            parts.append("every baseline" if len(baselines) == count else f"{one} {_join_names(baselines)}")
        if parts:
            said[finding] = "; ".join(parts)
    return said


def history(result: Result) -> str:
    """Summary of the gate's decisions: sessions, promotions, and sessions with a better mean."""
    after = len(result.loop.sessions) - 1
    return (
        f"{after + 1} sessions from {format_day(result.segments[0].date)} to {format_day(result.segments[-1].date)}."
        f" Of the {after}"
        f" after the first, {result.setting.policy} promoted in {promotions(result.loop)}; the new version had a better"
        f" mean on its holdout than the champion in {better_means(result.loop)}."
    )


def promotions(loop: Loop) -> int:
    """Number of replaced champions: the first promotion replaced none."""
    return max(0, sum(1 for session in loop.sessions if session.promoted) - 1)


def better_means(loop: Loop) -> int:
    """Number of new versions with a better mean than the champion on the bars of their first comparison."""
    return sum(
        1
        for session in loop.sessions
        for pair in session.tested
        if pair.contender == session.version and pair.improvement_percent.value > 0.0
    )


def percent(interval: Interval) -> str:
    """`+3.1 % [+1.0, +5.2]`, without limits if undefined; `not defined` for an undefined value.

    A limit near 0 gets more digits, to show its sign.
    """
    if math.isnan(interval.value):
        return "not defined"
    if math.isnan(interval.low):
        return f"{signed(interval.value, 1)} %"
    nearest = min(abs(limit) for limit in (interval.low, interval.high))
    digits = next((digits for digits in (1, 2, 3) if round(nearest, digits) or not nearest), 4)
    value, low, high = (signed(number, digits) for number in (interval.value, interval.low, interval.high))
    return f"{value} % [{low}, {high}]"


def signed(value: float, digits: int) -> str:
    """A number with its sign, and no sign before a zero."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if rounded else f"{0.0:.{digits}f}"


def estimate(interval: Interval, digits: int) -> str:
    """`0.241 [0.232, 0.250]`, without limits if undefined; `not defined` for an undefined value."""
    if math.isnan(interval.value):
        return "not defined"
    if math.isnan(interval.low):
        return f"{interval.value:.{digits}f}"
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _join_names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
