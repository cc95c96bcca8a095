"""Testing rules on rows that had no part in finding them.

One-sided test that a rule's hits exceed the direction's frequency on the same bars. A binomial test calls noise a
pattern in most runs when the target is persistent, so the variance is that of series that remember. It is estimated
from the memory of the rule and that of the labels apart: a variance of their products is so noisy with many lags that
it costs power where nothing is persistent, and with few it is too small where something is.
Sources: Bartlett 1935, "Some aspects of the time-correlation problem"; Lazarus et al. 2018 (how many lags);
Benjamini & Hochberg 1995.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.rule import Bools, Direction, Floats, Rule
from ratchet.statistics.special import student_t_sf

FALSE_DISCOVERIES = 0.10
FEWEST_FIRES = 10
FEWEST_COUNTED = 10
"""A search that carries one candidate has looked at as many rules as one that carries twenty: so many are counted where
there are fewer, and a lone candidate must reach p <= .01. The rate of false discoveries only falls by it."""
LAGS = 2.6
"""Lags of the memory, times the root of the number of bars.

Twice as many as Lazarus, Lewis, Stock & Watson 2018 advise where the products are what the variance is made of: the two
memories are estimated apart, with less noise, and labels that stay the same for long need them. On such noise
(autocorrelation .9 of features and label score) the usual 4 (n/100)^(2/9) lags kept a rule in 30 % of runs.
"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One rule on n consecutive out-of-sample bars: where it fired, and whether the label was 1 (both bool[n]).

    All bars are listed, fired or not: they give the frequency that the hits are compared with. `times` is
    int64[n + horizon], epoch seconds UTC: the label of bar i became known at times[i + horizon].
    """

    times: NDArray[np.int64]
    fired: Bools
    labels: Bools

    def __len__(self) -> int:
        return len(self.fired)

    @property
    def end(self) -> int:
        """When the last label became known."""
        return int(self.times[-1])

    @property
    def horizon(self) -> int:
        return len(self.times) - len(self.fired)


@dataclass(frozen=True, eq=False)
class TestedRule:
    """A rule with its p and whether it passes the Benjamini-Hochberg procedure among the rules tested with it."""

    __test__ = False

    rule: Rule
    p: float
    passes: bool
    evidence: Evidence


def p_value(evidence: Evidence, direction: Direction) -> float:
    """P of so many hits where the rule says nothing; 1 with fewer than FEWEST_FIRES fires."""
    n, fires = len(evidence), int(np.sum(evidence.fired))
    if fires < FEWEST_FIRES or fires == n:
        return 1.0
    hits = (evidence.labels == bool(direction)).astype(np.float64)
    found = excess(evidence.fired, hits, max(evidence.horizon - 1, int(LAGS * math.sqrt(n))))
    return student_t_sf(found.statistic, max(1.0, fires / found.inflation - 1.0))


@dataclass(frozen=True)
class Excess:
    """How far labels are higher where a rule fires, in standard errors; `inflation`: of their variance, by memory."""

    statistic: float
    inflation: float


def excess(fired: Bools, y: Floats, lags: int) -> Excess:
    """The slope of y, float64[n], on bool[n] `fired` in its standard errors, for series that remember.

    Where the two have nothing to do with each other, memory inflates the variance of the slope by
    1 + 2 sum of r_x(k) r_u(k), the autocorrelations of the rule and of what the slope leaves of the labels.
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


def passing(p: Sequence[float], level: float = FALSE_DISCOVERIES) -> tuple[bool, ...]:
    """Which hypotheses are rejected at false discovery rate `level` (Benjamini & Hochberg), as if FEWEST_COUNTED or
    more had been tested."""
    ordered, counted = sorted(p), max(len(p), FEWEST_COUNTED)
    limits = [value for rank, value in enumerate(ordered, start=1) if value <= level * rank / counted]
    return tuple(bool(limits) and value <= limits[-1] for value in p)


def evidence_of(rule: Rule, X: Floats, names: Sequence[str], y: Floats, times: NDArray[np.int64]) -> Evidence:
    """What `rule` did on the rows of X float64[n, k] with labels y [n]; `times` as in Evidence."""
    return Evidence(times, rule.fires(X, names), y == 1.0)


def tested(rules: Sequence[Rule], evidence: Sequence[Evidence]) -> tuple[TestedRule, ...]:
    """Each rule with the verdict of its evidence; all of them count as tested together."""
    p = [p_value(each, rule.direction) for rule, each in zip(rules, evidence, strict=True)]
    verdicts = zip(rules, p, passing(p), evidence, strict=True)
    return tuple(TestedRule(rule, value, passes, each) for rule, value, passes, each in verdicts)
