"""Tests of rules on rows outside their search.

One-sided test that a rule's hit rate exceeds the direction's frequency on the same bars. A binomial test declares noise
a pattern in most runs on a persistent target, so the variance is autocorrelation-consistent. It is estimated from the
autocorrelations of the rule and of the labels separately: a variance of their products with many lags is so noisy that
it costs power without persistence, and with few lags it is too small under persistence. Sources: Bartlett 1935, "Some
aspects of the time-correlation problem"; Lazarus et al. 2018 (number of lags); Benjamini & Hochberg 1995.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.rule import Bools, Direction, Floats, Rule
from ratchet.statistics.special import student_t_sf

FALSE_DISCOVERY_RATE = 0.10
MIN_FIRES = 10
MIN_HYPOTHESES = 10
"""Minimum number of hypotheses in the procedure: a search with one candidate has examined as many rules as one with
twenty, so a lone candidate must reach p <= .01. This only lowers the false discovery rate."""
LAGS = 2.6
"""Lags of the autocorrelations, times the root of the number of bars.

Twice the advice of Lazarus, Lewis, Stock & Watson 2018 for variances of products: the two autocorrelations are
estimated separately, with less noise, and long-lived labels need more lags. On persistent noise (autocorrelation .9 of
features and label score) the usual 4 (n/100)^(2/9) lags kept a rule in 30 % of runs.
"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One rule on n consecutive out-of-sample bars: `fired`, and `labels` equal to 1 (both bool[n]).

    All bars are listed, fired or not: they give the base rate for the comparison. `times` is int64[n + horizon], epoch
    seconds UTC: the label of bar i became known at times[i + horizon].
    """

    times: NDArray[np.int64]
    fired: Bools
    labels: Bools

    def __len__(self) -> int:
        return len(self.fired)

    @property
    def end(self) -> int:
        """The last label time."""
        return int(self.times[-1])

    @property
    def horizon(self) -> int:
        return len(self.times) - len(self.fired)


@dataclass(frozen=True, eq=False)
class TestedRule:
    """A rule with its p-value and its result in the Benjamini-Hochberg procedure over the rules tested together."""

    __test__ = False

    rule: Rule
    p: float
    passes: bool
    evidence: Evidence


def p_value(evidence: Evidence, direction: Direction) -> float:
    """p-value of the hits if the rule is uninformative; 1 with fewer than MIN_FIRES fires."""
    n, fires = len(evidence), int(np.sum(evidence.fired))
    if fires < MIN_FIRES or fires == n:
        return 1.0
    hits = (evidence.labels == bool(direction)).astype(np.float64)
    found = excess(evidence.fired, hits, max(evidence.horizon - 1, int(LAGS * math.sqrt(n))))
    return student_t_sf(found.statistic, max(1.0, fires / found.inflation - 1.0))


@dataclass(frozen=True)
class Excess:
    """Excess of the labels on a rule's fires, in standard errors; `inflation`: of their variance, by
    autocorrelation."""

    statistic: float
    inflation: float


def excess(fired: Bools, y: Floats, lags: int) -> Excess:
    """t statistic of the slope of y, float64[n], on bool[n] `fired`, autocorrelation-consistent.

    For independent series, autocorrelation inflates the variance of the slope by 1 + 2 sum of r_x(k) r_u(k), the
    autocorrelations of the rule and of the residual of the slope.
    """
    x, centred = fired - fired.mean(), y - y.mean()
    square = float(x @ x)
    if not square > 0.0:
        return Excess(0.0, 1.0)
    slope = float(x @ centred) / square
    left = centred - slope * x
    noise = float(left @ left)
    if not noise > 0.0:
        return Excess(0.0, 1.0)
    common = sum(
        (1.0 - k / (lags + 1)) * float(x[k:] @ x[:-k]) * float(left[k:] @ left[:-k])
        for k in range(1, min(lags, len(x) - 1) + 1)
    )
    inflation = max(1.0, 1.0 + 2.0 * common / (square * noise))
    return Excess(slope / math.sqrt(inflation * noise / len(x) / square), inflation)


def benjamini_hochberg(p: Sequence[float], level: float = FALSE_DISCOVERY_RATE) -> tuple[bool, ...]:
    """Rejected hypotheses at false discovery rate `level` (Benjamini & Hochberg), counting at least MIN_HYPOTHESES
    hypotheses."""
    ordered, counted = sorted(p), max(len(p), MIN_HYPOTHESES)
    limits = [value for rank, value in enumerate(ordered, start=1) if value <= level * rank / counted]
    return tuple(bool(limits) and value <= limits[-1] for value in p)


def rule_evidence(rule: Rule, X: Floats, names: Sequence[str], y: Floats, times: NDArray[np.int64]) -> Evidence:
    """Evidence of `rule` on the rows of X float64[n, k] with labels y [n]; `times` as in Evidence."""
    return Evidence(times, rule.fires(X, names), y == 1.0)


def tested(rules: Sequence[Rule], evidence: Sequence[Evidence]) -> tuple[TestedRule, ...]:
    """Each rule with its test result; all of them count as tested together."""
    p = [p_value(each, rule.direction) for rule, each in zip(rules, evidence, strict=True)]
    verdicts = zip(rules, p, benjamini_hochberg(p), evidence, strict=True)
    return tuple(TestedRule(rule, value, passes, each) for rule, value, passes, each in verdicts)
