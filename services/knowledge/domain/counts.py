"""Hit rate of a rule with its posterior.

Successive outcomes are autocorrelated, so support and hits are shrunk to the size of an independent sample with the
same uncertainty: by min(1, binomial variance / HAC variance) of the hits on the bars on which the rule fired. The
posterior of the hit rate is then Beta: the prior is centred at the base rate and weighs as much as two bars, so a rule
without evidence is worth no more than its label's frequency.

Sources: Newey & West 1987; Gelman et al., Bayesian Data Analysis, section 2.4.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

from ratchet.events.v1 import pattern_pb2
from ratchet.patterns.evidence import Flags
from ratchet.patterns.retention import retention_threshold
from ratchet.statistics.hac import long_run_variance, newey_west_lags
from ratchet.statistics.special import betainc, betaincinv
from services.knowledge.domain.evidence import Evidence

PRIOR_WEIGHT = 2.0
TAIL = 0.025


@dataclass(frozen=True)
class Counts:
    """Counts of a rule on tested bars; the fields are those of ratchet.events.v1.PatternCounts."""

    bars: int = 0
    support: int = 0
    hits: int = 0
    base_rate: float = 0.0
    effective_support: float = 0.0
    effective_hits: float = 0.0
    confidence: float = 0.0
    low: float = 0.0
    high: float = 0.0
    probability_above_base: float = 0.0
    probability_above_line: float = 0.0

    @property
    def retention_threshold(self) -> float:
        """The hit rate above which a rule is kept."""
        return retention_threshold(self.base_rate)

    @classmethod
    def read(cls, message: pattern_pb2.PatternCounts) -> Counts:
        return cls(**{field.name: getattr(message, field.name) for field in fields(cls)})

    def message(self) -> pattern_pb2.PatternCounts:
        return pattern_pb2.PatternCounts(**asdict(self))


def count(evidence: Evidence, label: bool, horizon: int) -> Counts:
    """The counts of a rule that predicts `label`, known `horizon` bars later; all zero without a tested bar."""
    bars = len(evidence)
    if not bars:
        return Counts()
    label_true = evidence.outcomes == label
    hit = label_true[evidence.fired]
    base_rate = float(label_true.mean())
    share = effective_share(hit, label_true, horizon)
    effective_support, effective_hits = share * len(hit), share * int(hit.sum())
    centre = (float(label_true.sum()) + 1.0) / (bars + 2.0)
    a = PRIOR_WEIGHT * centre + effective_hits
    b = PRIOR_WEIGHT * (1.0 - centre) + effective_support - effective_hits
    return Counts(
        bars=bars,
        support=len(hit),
        hits=int(hit.sum()),
        base_rate=base_rate,
        effective_support=effective_support,
        effective_hits=effective_hits,
        confidence=a / (a + b),
        low=betaincinv(a, b, TAIL),
        high=betaincinv(a, b, 1.0 - TAIL),
        probability_above_base=1.0 - betainc(a, b, base_rate),
        probability_above_line=1.0 - betainc(a, b, min(1.0, retention_threshold(base_rate))),
    )


def effective_share(hit: Flags, label_true: Flags, horizon: int) -> float:
    """The effective sample size per fired bar, at most 1.

    `hit`: bool[fired bars]; `label_true`: bool[all tested bars], used if the hits never vary.
    """
    for outcome in (hit, label_true):
        share = float(outcome.mean()) if len(outcome) else 0.0
        if 0.0 < share < 1.0:
            lags = max(horizon - 1, newey_west_lags(len(outcome)))
            variance = long_run_variance(outcome.astype(np.float64), lags)
            return min(1.0, share * (1.0 - share) / variance) if variance > 0.0 else 1.0
    return 1.0
