"""Scores of all arms on the same bars, and the paired gains of `ratchet`, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ratchet.backtest.result import RATCHET, Result, is_baseline
from ratchet.statistics.arrays import Flags, Floats
from ratchet.statistics.scores import (
    UNDEFINED,
    Interval,
    accuracy,
    auc_difference,
    auc_interval,
    defined,
    mean_difference,
)

Finding = Literal["better", "worse", "not shown"]


@dataclass(frozen=True)
class Gain:
    """`ratchet` against another arm, paired on the same bars; above 0: `ratchet` is better.

    `brier`: the other's Brier loss less ratchet's, HAC; `percent`: the same relative to the other's Brier score;
    `auc`: ratchet's AUC less the other's.
    """

    brier: Interval
    percent: Interval
    auc: Interval

    @property
    def finding(self) -> Finding:
        """The finding of the interval of the Brier gain; "not shown" if it includes 0."""
        return finding(self.brier)


@dataclass(frozen=True)
class Score:
    """An arm's scores on all scored bars; `gain` is None for `ratchet` itself."""

    arm: str
    brier: Interval
    accuracy: Interval
    auc: Interval
    cpu_seconds: float
    gain: Gain | None


def finding(gain: Interval) -> Finding:
    """Better or worse if the interval excludes 0."""
    if gain.low > 0.0:
        return "better"
    return "worse" if gain.high < 0.0 else "not shown"


def scores(result: Result) -> tuple[Score, ...]:
    """A score for each arm, in the order of the result; all nan if the bars define no metric."""
    y = np.array(result.outcomes, np.bool_)
    horizon = result.setting.horizon
    mine = np.array(result.arm(RATCHET).probabilities)
    return tuple(
        Score(
            arm.name,
            mean_difference(losses(p, y), horizon) if defined(y) else UNDEFINED,
            accuracy(p, y) if defined(y) else UNDEFINED,
            auc_interval(p, y, horizon),
            arm.cpu_seconds,
            None if arm.name == RATCHET else gain_over(p, mine, y, horizon),
        )
        for arm in result.arms
        for p in [np.array(arm.probabilities)]
    )


def best_baseline(scores: Sequence[Score]) -> Score:
    """The baseline with the lowest Brier score on these bars; the first one if none is defined."""
    return min((score for score in scores if is_baseline(score.arm)), key=lambda score: score.brier.value)


def gain_over(other: Floats, mine: Floats, y: Flags, horizon: int) -> Gain:
    """The gain of `mine` over `other`: probabilities of shape (n,) for the same outcomes `y`; nan if undefined."""
    if not defined(y):
        return Gain(UNDEFINED, UNDEFINED, UNDEFINED)
    difference = mean_difference(losses(other, y) - losses(mine, y), horizon)
    return Gain(
        difference,
        difference.scaled(100.0 / float(losses(other, y).mean())),
        auc_difference(other, mine, y, horizon),
    )


def losses(p: Floats, y: Flags) -> Floats:
    """Squared errors, shape (n,)."""
    return np.asarray((p - y) ** 2, np.float64)
