"""Subsumption among patterns: near-duplicates, and rules implied by a simpler rule.

A simpler pattern of the same direction, not subsumed itself, subsumes a pattern if, on the bars on which both were
tested, either both fire on nearly the same bars, or the simpler one has fewer conditions, fires nearly wherever the
other does, and does as well on the bars on which it alone fires. Simpler: fewer conditions, then the shorter wording,
then the id. The result is a function of the set of patterns.

Sources: Jaccard 1912; the one-sided test of two proportions with pooled variance, on counts shrunk as in counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ratchet.patterns.bar_times import Times
from ratchet.patterns.evidence import Flags
from services.knowledge.domain.counts import effective_share
from services.knowledge.domain.evidence import Evidence

COMMON_BARS = 100
COMMON_FIRES = 10
IMPLIED_FIRES = 30
"""With fewer common fires the test has too little power to show that a narrower rule does better."""
SAME_BARS = 0.8
CONTAINED = 0.9
CRITICAL_Z = 1.645


@dataclass(frozen=True, eq=False)
class ActivePattern:
    """An active pattern of one series and task, with its counted evidence."""

    id: str
    conditions: int
    wording: str
    label: bool
    evidence: Evidence

    @property
    def simplicity(self) -> tuple[int, int, str]:
        """The sort key, the simplest first."""
        return self.conditions, len(self.wording), self.id


@dataclass(frozen=True, eq=False)
class _AlignedPattern:
    """A pattern on a common time axis, every array of shape (axis,): bar tested, rule fired, label true."""

    pattern: ActivePattern
    tested: Flags
    fired: Flags
    label_true: Flags

    @classmethod
    def of(cls, pattern: ActivePattern, axis: Times) -> _AlignedPattern:
        tested, fired, label_true = (np.zeros(len(axis), dtype=bool) for _ in range(3))
        at = np.searchsorted(axis, pattern.evidence.times)
        tested[at] = True
        fired[at] = pattern.evidence.fired
        label_true[at] = pattern.evidence.outcomes == pattern.label
        return cls(pattern, tested, fired, label_true)


def find_subsumed(patterns: Iterable[ActivePattern], horizon: int) -> dict[str, str]:
    """The id of the simplest subsuming pattern, by id of each subsumed pattern.

    Labels are known `horizon` bars later; ids differ.
    """
    ordered = sorted(patterns, key=lambda pattern: pattern.simplicity)
    if len(ordered) < 2:
        return {}
    axis = np.unique(np.concatenate([pattern.evidence.times for pattern in ordered]))
    subsumed: dict[str, str] = {}
    kept: list[_AlignedPattern] = []
    for pattern in ordered:
        aligned = _AlignedPattern.of(pattern, axis)
        by = next((simpler for simpler in kept if _subsumes(simpler, aligned, horizon)), None)
        if by is None:
            kept.append(aligned)
        else:
            subsumed[pattern.id] = by.pattern.id
    return subsumed


def _subsumes(simpler: _AlignedPattern, aligned: _AlignedPattern, horizon: int) -> bool:
    if simpler.pattern.label != aligned.pattern.label:
        return False
    common = simpler.tested & aligned.tested
    fires, simpler_fires = aligned.fired & common, simpler.fired & common
    support, simpler_support = np.count_nonzero(fires), np.count_nonzero(simpler_fires)
    if support < COMMON_FIRES or np.count_nonzero(common) < COMMON_BARS:
        return False
    both = np.count_nonzero(fires & simpler_fires)
    if both >= SAME_BARS * (support + simpler_support - both):
        return True
    implied = simpler.pattern.conditions < aligned.pattern.conditions and both >= CONTAINED * support
    if not implied or support < IMPLIED_FIRES:
        return False
    alone = simpler_fires & ~fires
    return not _significantly_better(
        aligned.label_true[fires],
        aligned.label_true[common],
        simpler.label_true[alone],
        simpler.label_true[common],
        horizon,
    )


def _significantly_better(
    hit: Flags, label_true: Flags, other_hit: Flags, other_label_true: Flags, horizon: int
) -> bool:
    """Whether the rate of `hit`, bool[fires], significantly exceeds that of `other_hit`.

    `label_true`, `other_label_true`: of all common bars.
    """
    size = effective_share(hit, label_true, horizon) * len(hit)
    other_size = effective_share(other_hit, other_label_true, horizon) * len(other_hit)
    rate, other_rate = float(hit.mean()), float(other_hit.mean())
    pooled = (size * rate + other_size * other_rate) / (size + other_size)
    variance = pooled * (1.0 - pooled) * (1.0 / size + 1.0 / other_size)
    return rate - other_rate > 0.0 and rate - other_rate >= CRITICAL_Z * math.sqrt(variance)
