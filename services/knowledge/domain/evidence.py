"""The evidence for a rule: the union, by bar time, of all out-of-sample bars on which it was tested.

Where two facts disagree on a bar the one recorded first stays. Each bar remembers the fact that brought it, so what was
known at a log time or at a market time is a filter on the union and never a second fold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.patterns.evidence import EvidenceBars, Flags, Times


@dataclass(frozen=True, eq=False)
class Evidence:
    """Bars, in a union in order of time, every array of shape (n,).

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

    @classmethod
    def told(cls, facts: Iterable[tuple[int, EvidenceBars]]) -> Evidence:
        """What facts (version, bars) brought, one after the other, each bar as often as it was told."""
        told = [(version, bars) for version, bars in facts if len(bars.times)]
        if not told:
            return cls.none()
        return cls(
            np.concatenate([bars.times for _, bars in told]),
            np.concatenate([bars.label_times for _, bars in told]),
            np.concatenate([bars.fired for _, bars in told]),
            np.concatenate([bars.outcomes for _, bars in told]),
            np.repeat(np.array([version for version, _ in told]), [len(bars.times) for _, bars in told]),
        )

    def __len__(self) -> int:
        return len(self.times)

    def where(self, rows: Flags | NDArray[np.intp]) -> Evidence:
        return Evidence(
            self.times[rows], self.label_times[rows], self.fired[rows], self.outcomes[rows], self.source[rows]
        )

    def known(self, version: int, before: int | None = None) -> Evidence:
        """What the facts up to `version` brought and, with `before`, whose label was known before that market time."""
        keep = self.source <= version
        return self.where(keep if before is None else keep & (self.label_times < before))

    def brought_after(self, version: int) -> Evidence:
        return self.where(self.source > version)


def unite(told: Evidence) -> tuple[Evidence, Evidence]:
    """The union of bars told in this order, and those told later that disagree with what stays."""
    _, first = np.unique(told.times, return_index=True)
    union = told.where(first)
    stays = union.where(np.searchsorted(union.times, told.times))
    disagrees = (
        (stays.label_times != told.label_times) | (stays.fired != told.fired) | (stays.outcomes != told.outcomes)
    )
    return union, told.where(disagrees)
