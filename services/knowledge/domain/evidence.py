"""The evidence for a rule: the union, by bar time, of its out-of-sample test bars.

If two facts disagree on a bar, the first recorded one wins. Each bar keeps the version of its fact, so the evidence as
of a log time or market time is a filter on the union.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.patterns.bar_times import Times
from ratchet.patterns.evidence import EvidenceBars, Flags


@dataclass(frozen=True, eq=False)
class Evidence:
    """Tested bars, in a union in order of time, every array of shape (n,).

    times, label_times  epoch seconds UTC: the bar, and the time at which its label was known
    fired, outcomes     whether the rule fired, whether the label was 1
    source              version, in the pattern's stream, of the first fact with this bar
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
    def concatenated(cls, facts: Iterable[tuple[int, EvidenceBars]]) -> Evidence:
        """The bars of facts (version, bars), one after the other, with repetitions."""
        parts = [(version, bars) for version, bars in facts if len(bars.times)]
        if not parts:
            return cls.none()
        return cls(
            np.concatenate([bars.times for _, bars in parts]),
            np.concatenate([bars.label_times for _, bars in parts]),
            np.concatenate([bars.fired for _, bars in parts]),
            np.concatenate([bars.outcomes for _, bars in parts]),
            np.repeat(np.array([version for version, _ in parts]), [len(bars.times) for _, bars in parts]),
        )

    def __len__(self) -> int:
        return len(self.times)

    def where(self, rows: Flags | NDArray[np.intp]) -> Evidence:
        return Evidence(
            self.times[rows], self.label_times[rows], self.fired[rows], self.outcomes[rows], self.source[rows]
        )

    def known(self, version: int, before: int | None = None) -> Evidence:
        """The bars of the facts up to `version` and, with `before`, with labels known before that market time."""
        keep = self.source <= version
        return self.where(keep if before is None else keep & (self.label_times < before))

    def after_version(self, version: int) -> Evidence:
        return self.where(self.source > version)


def merge(bars: Evidence) -> tuple[Evidence, Evidence]:
    """The union of bars in this order, and the later bars that contradict the union."""
    _, first = np.unique(bars.times, return_index=True)
    union = bars.where(first)
    stays = union.where(np.searchsorted(union.times, bars.times))
    disagrees = (
        (stays.label_times != bars.label_times) | (stays.fired != bars.fired) | (stays.outcomes != bars.outcomes)
    )
    return union, bars.where(disagrees)
