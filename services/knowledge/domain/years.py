"""The evidence for a rule by calendar year, to show whether it held throughout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.knowledge.domain.evidence import Evidence

EPOCH = 1970


@dataclass(frozen=True)
class Year:
    """The tested bars of one calendar year (UTC, by bar time); `base_rate` is the frequency of the rule's label."""

    year: int
    bars: int
    support: int
    hits: int
    base_rate: float


def by_year(evidence: Evidence, label: bool) -> tuple[Year, ...]:
    """Oldest first, of a rule that predicts `label`; only years with a tested bar. Support and hits are not shrunk."""
    years = evidence.times.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + EPOCH
    found = []
    for year in np.unique(years):
        part = evidence.where(years == year)
        label_true = part.outcomes == label
        found.append(
            Year(
                year=int(year),
                bars=len(part),
                support=int(part.fired.sum()),
                hits=int(label_true[part.fired].sum()),
                base_rate=float(label_true.mean()),
            )
        )
    return tuple(found)
