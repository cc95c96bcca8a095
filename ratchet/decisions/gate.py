"""The gate: the statistical test for the promotion of a contender over its champion.

`judge` is a pure function of the packed evidence. The registry calls it to decide and the verifier to check; anybody
can call it with the bytes of a decision event. Equal bytes on one machine give an equal judgement to the last bit (no
threads, no BLAS, a fixed order of every sum). The e-value and the test use the same bars and are computed afresh.
`decide` is the deciding part, some ten times faster; the rest of a judgement describes the pair.

A contender's own e-value is valid at any time; the rate of false promotions over many contenders of a lineage is known
from simulation, not from a theorem.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from ratchet.decisions.evidence import PairedForecasts
from ratchet.errors import InvalidInput
from ratchet.statistics.calibration import refitted_difference
from ratchet.statistics.diebold_mariano import diebold_mariano
from ratchet.statistics.evalue import e_values, loss_difference
from ratchet.statistics.hac import forecast_variance
from ratchet.statistics.scores import (
    UNDEFINED,
    Interval,
    accuracy,
    auc_difference,
    brier,
    defined,
    mean_difference,
    minority_count,
)

Verdict = Literal["PROMOTED", "REJECTED", "INCONCLUSIVE", "NO_NEW_EVIDENCE"]
PolicyName = Literal["plain", "balanced", "strict"]

REJECT_E = 20.0
CONTENDERS_KEPT = 3
SYMBOL_BEST_BARS = 120

_POWER = 2.49


@dataclass(frozen=True)
class PolicyRule:
    """Promote when mean d > 0, E >= `e_threshold` for each comparison, and the test's p < `dm_level`."""

    e_threshold: float
    dm_level: float

    def accepts(self, mean: float, e: float, p: float, comparisons: int) -> bool:
        return mean > 0.0 and e >= self.e_threshold * comparisons and p < self.dm_level


POLICIES: Mapping[PolicyName, PolicyRule] = MappingProxyType(
    {
        "plain": PolicyRule(e_threshold=0.0, dm_level=math.inf),
        "balanced": PolicyRule(e_threshold=20.0, dm_level=0.05),
        "strict": PolicyRule(e_threshold=100.0, dm_level=0.05),
    }
)


@dataclass(frozen=True)
class GateResult:
    """A verdict and the deciding numbers, positive or large when the contender is better."""

    verdict: Verdict
    bars: int
    e_value: float
    e_value_reverse: float
    dm_statistic: float
    dm_p: float


@dataclass(frozen=True)
class Judgement(GateResult):
    """A verdict with all its statistics. Differences are positive when the contender is better; nan: not estimable.

    `mean_difference`: champion's less contender's squared error, 95 % HAC. `improvement_percent`: the same relative to
    the champion's Brier score, in percent. `auc_difference`: contender's less champion's. `refitted_difference`: as
    `mean_difference`, on the second half of the bars after both calibrations were refitted on the first. `bars_needed`:
    total scored bars for power .8 at a difference of this size (one-sided level .05); None: not estimable.
    `minority_bars`: those of the rarer class. Of a degenerate pair nothing else is defined.
    """

    bars_needed: float | None
    minority_bars: int
    mean_difference: Interval
    improvement_percent: Interval
    auc_difference: Interval
    refitted_difference: Interval
    champion_brier: float
    contender_brier: float
    champion_accuracy: Interval
    contender_accuracy: Interval


def decide(
    pair: PairedForecasts, horizon: int, policy: PolicyName, comparisons: int = 1, minimum_bars: int = 1
) -> GateResult:
    """Decides on the contender (B) of `pair` against its champion (A) on their scored bars.

    `horizon`: bars between a forecast and its outcome. `comparisons`: the number of competing lineages; it multiplies
    the threshold of the e-value. Fewer than `minimum_bars` bars never decide, and a degenerate pair (fewer than 20 bars
    of either class) is INCONCLUSIVE with E 1 and p 1.

    PROMOTED: the policy accepts; REJECTED: E of the reversed pair >= 20; NO_NEW_EVIDENCE: no bar; else INCONCLUSIVE.
    InvalidInput for an unknown policy, or a horizon or number of comparisons below 1.
    """
    if policy not in POLICIES:
        raise InvalidInput(
            f"unknown policy {policy!r}; choose one of {', '.join(POLICIES)}", fields={"policy": "unknown"}
        )
    if horizon < 1 or comparisons < 1:
        raise InvalidInput(f"horizon {horizon} and comparisons {comparisons}: both must be 1 or more")
    if len(pair) == 0:
        return GateResult("NO_NEW_EVIDENCE", 0, 1.0, 1.0, 0.0, 1.0)
    if not defined(pair.y):
        return GateResult("INCONCLUSIVE", len(pair), 1.0, 1.0, 0.0, 1.0)
    d = loss_difference(pair.p_a, pair.p_b, pair.y)
    e = e_values(pair.p_a, pair.p_b, pair.y, horizon)
    test = diebold_mariano(d, horizon)
    verdict: Verdict = "INCONCLUSIVE"
    if len(pair) >= minimum_bars:
        if POLICIES[policy].accepts(float(d.mean()), e.contender, test.p, comparisons):
            verdict = "PROMOTED"
        elif e.champion >= REJECT_E:
            verdict = "REJECTED"
    return GateResult(verdict, len(pair), e.contender, e.champion, test.statistic, test.p)


def judge(
    pair: PairedForecasts, horizon: int, policy: PolicyName, comparisons: int = 1, minimum_bars: int = 1
) -> Judgement:
    """`decide`, with descriptive statistics of the pair. Arguments and errors are those of `decide`."""
    result = decide(pair, horizon, policy, comparisons, minimum_bars)
    if not defined(pair.y):
        return _undefined(result, minority_count(pair.y))
    d = loss_difference(pair.p_a, pair.p_b, pair.y)
    mean = mean_difference(d, horizon)
    champion_brier = brier(pair.p_a, pair.y)
    return Judgement(
        **vars(result),
        bars_needed=_bars_needed(mean, forecast_variance(d, horizon)),
        minority_bars=minority_count(pair.y),
        mean_difference=mean,
        improvement_percent=mean.scaled(100.0 / champion_brier) if champion_brier > 0.0 else UNDEFINED,
        auc_difference=auc_difference(pair.p_a, pair.p_b, pair.y, horizon),
        refitted_difference=refitted_difference(pair.p_a, pair.p_b, pair.y, horizon),
        champion_brier=champion_brier,
        contender_brier=brier(pair.p_b, pair.y),
        champion_accuracy=accuracy(pair.p_a, pair.y),
        contender_accuracy=accuracy(pair.p_b, pair.y),
    )


class Scored(Protocol):
    """Inputs of the choice among contenders."""

    @property
    def verdict(self) -> Verdict: ...

    @property
    def e_value(self) -> float: ...


def choose(contenders: Sequence[Scored]) -> int | None:
    """The index of the contender to promote: among those that passed, the largest E, the first of equals."""
    passed = [index for index, contender in enumerate(contenders) if contender.verdict == "PROMOTED"]
    return max(passed, key=lambda index: contenders[index].e_value, default=None)


def keep(contenders: Sequence[Scored], limit: int = CONTENDERS_KEPT) -> tuple[int, ...]:
    """The indices of the kept contenders, by decreasing E, the first of equals first.

    At most `limit` of those that the champion has not beaten.
    """
    alive = [index for index, contender in enumerate(contenders) if contender.verdict != "REJECTED"]
    return tuple(sorted(alive, key=lambda index: -contenders[index].e_value)[:limit])


def _bars_needed(mean: Interval, variance: float) -> float | None:
    """n (2.49 s / (sqrt n mean))^2, which does not depend on n; 2.49 = 1.645 + .845 for level .05 and power .8."""
    if not mean.value > 0.0 or math.isnan(mean.low):
        return None
    ratio = _POWER * math.sqrt(variance) / mean.value
    return ratio * ratio if math.isfinite(ratio * ratio) else None


def _undefined(result: GateResult, minority_bars: int) -> Judgement:
    return Judgement(
        **vars(result),
        bars_needed=None,
        minority_bars=minority_bars,
        mean_difference=UNDEFINED,
        improvement_percent=UNDEFINED,
        auc_difference=UNDEFINED,
        refitted_difference=UNDEFINED,
        champion_brier=math.nan,
        contender_brier=math.nan,
        champion_accuracy=UNDEFINED,
        contender_accuracy=UNDEFINED,
    )
