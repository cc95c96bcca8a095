"""Success rates of tested rules: the share admitted, their present states, and their later hit rates.

The share admitted has the Jeffreys interval of a proportion: the quantiles of Beta(k + 1/2, n - k + 1/2), with 0 as its
lower end for k = 0 and 1 as its upper end for k = n. Source: Brown, Cai & DasGupta 2001, Interval estimation for a
binomial proportion, Statistical Science 16.

Later bars are those outside of a rule's first test: no selection used them. Each rule has a base rate of its own, the
frequency of its label on its later bars. The base rate over several rules is their mean weighted by later support: the
expected hit rate of uninformative rules with the same support. Hits / support compares with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from ratchet.statistics.special import betaincinv
from services.knowledge.domain.pattern import PatternView
from services.knowledge.domain.rules import State

ALL = ""
UNTYPED = "untyped"
TAIL = 0.025


@dataclass(frozen=True)
class RuleOutcome:
    """The outcome of one tested rule. `later_expected`: the hits expected at its base rate on its later support."""

    series: str
    type: str
    admitted: bool
    state: State
    later_support: int = 0
    later_hits: int = 0
    later_expected: float = 0.0


@dataclass(frozen=True)
class SuccessRate:
    """Success rate of the rules of one type and series; "" stands for all.

    `low`, `high`: the 95 % interval of the share.
    """

    series: str
    type: str
    tested: int
    admitted: int
    in_force: int
    retired: int
    covered: int
    low: float
    high: float
    later_support: int
    later_hits: int
    later_base_rate: float

    @property
    def share(self) -> float:
        """The admitted share of the tested rules."""
        return self.admitted / self.tested


def outcome_of(found: PatternView) -> RuleOutcome:
    """The outcome of a tested rule; a refuted rule has no later bars that count."""
    record, version = found.record, found.changes[-1].version
    series, kind = record.definition.series, record.definition.type or UNTYPED
    if not record.admitted_by(version):
        return RuleOutcome(series, kind, admitted=False, state=found.state)
    later = found.evidence.where(~np.isin(found.evidence.times, record.first_test(version).times))
    label_true = later.outcomes == record.label
    support = int(later.fired.sum())
    return RuleOutcome(
        series,
        kind,
        admitted=True,
        state=found.state,
        later_support=support,
        later_hits=int(label_true[later.fired].sum()),
        later_expected=support * float(label_true.mean()) if support else 0.0,
    )


def rates(outcomes: Iterable[RuleOutcome], over_all_series: bool) -> tuple[SuccessRate, ...]:
    """Rates by series, then by type, with all types first; with `over_all_series` all series together first.

    Empty without a tested rule.
    """
    groups: dict[tuple[str, str], list[RuleOutcome]] = defaultdict(list)
    for each in outcomes:
        for series in (ALL, each.series) if over_all_series else (each.series,):
            for kind in (ALL, each.type):
                groups[series, kind].append(each)
    return tuple(_rate(*group, groups[group]) for group in sorted(groups))


def jeffreys(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a proportion; 0 <= `successes` <= `trials`, `trials` >= 1."""
    a, b = successes + 0.5, trials - successes + 0.5
    low = betaincinv(a, b, TAIL) if successes else 0.0
    high = betaincinv(a, b, 1.0 - TAIL) if successes < trials else 1.0
    return low, high


def _rate(series: str, kind: str, outcomes: Sequence[RuleOutcome]) -> SuccessRate:
    admitted = [each for each in outcomes if each.admitted]
    low, high = jeffreys(len(admitted), len(outcomes))
    support = sum(each.later_support for each in admitted)
    return SuccessRate(
        series=series,
        type=kind,
        tested=len(outcomes),
        admitted=len(admitted),
        in_force=sum(each.state.active for each in admitted),
        retired=sum(each.state is State.RETIRED for each in admitted),
        covered=sum(each.state is State.COVERED for each in admitted),
        low=low,
        high=high,
        later_support=support,
        later_hits=sum(each.later_hits for each in admitted),
        later_base_rate=fsum(each.later_expected for each in admitted) / support if support else 0.0,
    )
