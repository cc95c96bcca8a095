"""The evidence for a rule: the union, by bar time, of all out-of-sample bars on which it was tested.

Where two facts disagree on a bar the one recorded first stays. Each bar remembers the fact that brought it, so what was
known at a log time or at a market time is a filter on the union and never a second fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.kernel.bar_evidence import EvidenceBars, Flags, Times


@dataclass(frozen=True, eq=False)
class Evidence:
    """Bars in order of time, every array of shape (n,).

    times, label_times  epoch seconds UTC: the bar, and when its label was known
    fired, outcomes     did the rule fire, was the label 1
    source              version, in the pattern's stream, of the fact that brought the bar first
    """

    times: Times
    label_times: Times
    fired: Flags
    outcomes: Flags
    source: NDArray[np.int64]

    @classmethod
    def none(cls) -> Evidence:
        nothing, never = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        return cls(nothing, nothing, never, never, nothing)

    def __len__(self) -> int:
        return len(self.times)

    def where(self, keep: Flags) -> Evidence:
        return Evidence(
            self.times[keep], self.label_times[keep], self.fired[keep], self.outcomes[keep], self.source[keep]
        )

    def known(self, version: int, before: int | None = None) -> Evidence:
        """What the facts up to `version` brought and, with `before`, whose label was known before that market time."""
        keep = self.source <= version
        return self.where(keep if before is None else keep & (self.label_times < before))

    def brought_by(self, version: int) -> Evidence:
        return self.where(self.source == version)

    def brought_after(self, version: int) -> Evidence:
        return self.where(self.source > version)


def merge(old: Evidence, new: EvidenceBars, source: int) -> tuple[Evidence, Times]:
    """The union, and the times of the bars on which `new` disagrees with what stays (sorted, each once)."""
    times = np.concatenate([old.times, new.times])
    _, first = np.unique(times, return_index=True)
    union = Evidence(
        times[first],
        np.concatenate([old.label_times, new.label_times])[first],
        np.concatenate([old.fired, new.fired])[first],
        np.concatenate([old.outcomes, new.outcomes])[first],
        np.concatenate([old.source, np.full(len(new.times), source, dtype=np.int64)])[first],
    )
    kept = np.searchsorted(union.times, new.times)
    disagrees = (
        (union.label_times[kept] != new.label_times)
        | (union.fired[kept] != new.fired)
        | (union.outcomes[kept] != new.outcomes)
    )
    return union, np.unique(new.times[disagrees])
