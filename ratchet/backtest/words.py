"""What is gained and what is not, in sentences that are computed from the intervals: better only where 0 is outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.backtest.compare import Finding, Gain, Score
from ratchet.backtest.moments import day
from ratchet.backtest.result import ArmName, Loop, Result
from ratchet.proof.scores import Interval

AGAINST: dict[ArmName, str] = {
    "never retrained": "never retraining",
    "always replaced": "always replacing",
    "plain": "promoting on the mean alone",
    "from scratch": "training from scratch each time",
    "logistic": "a logistic regression",
    "persistence": "persistence",
    "majority": "the majority class",
}


@dataclass(frozen=True)
class Sentence:
    """What `ratchet` is found to be against an arm: `against` names it, `measured` is the gain in words."""

    arm: ArmName
    finding: Finding
    against: str
    measured: str

    @property
    def text(self) -> str:
        return f"Against {self.against}: {self.finding} ({self.measured})."


def against(scores: Sequence[Score]) -> tuple[Sentence, ...]:
    """A sentence for each arm that `ratchet` is compared with."""
    return tuple(
        Sentence(score.arm, score.gain.finding, AGAINST[score.arm], _measured(score.gain))
        for score in scores
        if score.gain is not None
    )


def _measured(gain: Gain) -> str:
    if math.isnan(gain.brier.low):
        return "the same forecasts on every bar" if gain.brier.value == 0.0 else "no interval can be estimated"
    holds = "; the interval holds 0" if gain.finding == "not shown" else ""
    return f"Brier {percent(gain.percent)}{holds}"


def headline(result: Result, sentences: Sequence[Sentence]) -> str:
    """One sentence: against how many of the arms `ratchet` is better, worse, or neither."""
    named: dict[Finding, list[str]] = {"better": [], "not shown": [], "worse": []}
    for sentence in sentences:
        named[sentence.finding].append(AGAINST[sentence.arm])
    said = {
        "better than": named["better"],
        "worse than": named["worse"],
        "not shown to differ from": named["not shown"],
    }
    parts = [f"{words} {_listed(arms)}" for words, arms in said.items() if arms]
    return f"On {len(result.times):,} bars that no model in force had seen, ratchet is {'; '.join(parts)}."


def history(result: Result) -> str:
    """What the gate did: sessions, promotions, and the same of the plain loop."""
    after = len(result.gated.sessions) - 1
    return (
        f"{after + 1} sessions from {day(result.segments[0].date)} to {day(result.segments[-1].date)}. In the {after}"
        f" after the first, {result.setting.policy} promoted {promotions(result.gated)}, and a better mean on the"
        f" holdout alone promoted {promotions(result.plain)}."
    )


def promotions(loop: Loop) -> int:
    """Champions that were replaced: v1, the first one, replaced none."""
    return max(0, sum(1 for session in loop.sessions if session.promoted) - 1)


def percent(interval: Interval) -> str:
    """`+3.1 % [+1.0, +5.2]`, without the limits where there are none."""
    if math.isnan(interval.low):
        return f"{signed(interval.value, 1)} %"
    return f"{signed(interval.value, 1)} % [{signed(interval.low, 1)}, {signed(interval.high, 1)}]"


def signed(value: float, digits: int) -> str:
    """A number with its sign, and no sign before a zero; `?` for what is not known."""
    if math.isnan(value):
        return "?"
    rounded = round(value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if rounded else f"{0.0:.{digits}f}"


def estimate(interval: Interval, digits: int) -> str:
    """`0.241 [0.232, 0.250]`, without the limits where there are none."""
    if math.isnan(interval.low):
        return "?" if math.isnan(interval.value) else f"{interval.value:.{digits}f}"
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
