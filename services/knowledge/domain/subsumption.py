"""Which patterns say nothing that a simpler one does not say: near-duplicates, and rules that a simpler rule implies.

A pattern is covered by a simpler one of the same direction that is not covered itself when, on the bars on which both
were tested, either both fire on nearly the same bars, or the other has fewer conditions, fires wherever it does,
nearly, and does as well on the bars where it alone fires. Simpler: fewer conditions, then the shorter wording, then the
id. The result is a function of the set of claims.

Sources: Jaccard 1912; the one-sided test of two proportions with pooled variance, on counts shrunk as in counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ratchet.patterns.evidence import Flags, Times
from services.knowledge.domain.counts import effective_share
from services.knowledge.domain.evidence import Evidence

COMMON_BARS = 100
COMMON_FIRES = 10
IMPLIED_FIRES = 30
"""With fewer common fires nobody can say that a narrower rule does no better."""
SAME_BARS = 0.8
CONTAINED = 0.9
SHOWN_BETTER = 1.645


@dataclass(frozen=True, eq=False)
class Claim:
    """An active pattern of one series and task, and the evidence that counts."""

    id: str
    conditions: int
    wording: str
    label: bool
    evidence: Evidence

    @property
    def simplicity(self) -> tuple[int, int, str]:
        """The simplest first."""
        return self.conditions, len(self.wording), self.id


@dataclass(frozen=True, eq=False)
class _Track:
    """A claim on a time axis that all claims share, every array of shape (axis,): was the bar tested, did the rule
    fire, did its label come."""

    claim: Claim
    tested: Flags
    fired: Flags
    came: Flags

    @classmethod
    def of(cls, claim: Claim, axis: Times) -> _Track:
        tested, fired, came = (np.zeros(len(axis), dtype=bool) for _ in range(3))
        at = np.searchsorted(axis, claim.evidence.times)
        tested[at] = True
        fired[at] = claim.evidence.fired
        came[at] = claim.evidence.outcomes == claim.label
        return cls(claim, tested, fired, came)


def coverings(claims: Iterable[Claim], horizon: int) -> dict[str, str]:
    """Of each covered claim, by id, the id of the simplest one that covers it. Labels are known `horizon` bars later;
    ids differ."""
    ordered = sorted(claims, key=lambda claim: claim.simplicity)
    if len(ordered) < 2:
        return {}
    axis = np.unique(np.concatenate([claim.evidence.times for claim in ordered]))
    covered: dict[str, str] = {}
    free: list[_Track] = []
    for claim in ordered:
        track = _Track.of(claim, axis)
        by = next((simpler for simpler in free if _covers(simpler, track, horizon)), None)
        if by is None:
            free.append(track)
        else:
            covered[claim.id] = by.claim.id
    return covered


def _covers(simpler: _Track, track: _Track, horizon: int) -> bool:
    if simpler.claim.label != track.claim.label:
        return False
    common = simpler.tested & track.tested
    fires, simpler_fires = track.fired & common, simpler.fired & common
    support, simpler_support = np.count_nonzero(fires), np.count_nonzero(simpler_fires)
    if support < COMMON_FIRES or np.count_nonzero(common) < COMMON_BARS:
        return False
    both = np.count_nonzero(fires & simpler_fires)
    if both >= SAME_BARS * (support + simpler_support - both):
        return True
    implied = simpler.claim.conditions < track.claim.conditions and both >= CONTAINED * support
    if not implied or support < IMPLIED_FIRES:
        return False
    alone = simpler_fires & ~fires
    return not _shown_better(track.came[fires], track.came[common], simpler.came[alone], simpler.came[common], horizon)


def _shown_better(hit: Flags, came: Flags, other_hit: Flags, other_came: Flags, horizon: int) -> bool:
    """Is the rate of `hit`, bool[fires], above that of `other_hit`? `came` and `other_came`: of all common bars."""
    size = effective_share(hit, came, horizon) * len(hit)
    other_size = effective_share(other_hit, other_came, horizon) * len(other_hit)
    rate, other_rate = float(hit.mean()), float(other_hit.mean())
    pooled = (size * rate + other_size * other_rate) / (size + other_size)
    variance = pooled * (1.0 - pooled) * (1.0 / size + 1.0 / other_size)
    return rate - other_rate > 0.0 and rate - other_rate >= SHOWN_BETTER * math.sqrt(variance)
