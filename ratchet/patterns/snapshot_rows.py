"""The rows of a snapshot: which of them trade, their times, and the bars of evidence that names them.

    rows = SnapshotRows(times, standstills)
    span = rows.span(times_of_bars_and_labels, fired, outcomes)
    bars = rows.bars(span, horizon)

Evidence is over traded bars: the label of the i-th traded bar is known at traded bar i + horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.events.v1 import pattern_pb2
from ratchet.patterns.bar_times import Times
from ratchet.patterns.evidence import EvidenceBars, Flags, encode, flags


class RowRange(NamedTuple):
    """Consecutive rows of a snapshot, counted from 0."""

    first_row: int
    rows: int

    @property
    def end(self) -> int:
        """The row after the last one."""
        return self.first_row + self.rows


class TradedRows:
    """The rows of a snapshot outside its standstills, which are sorted and do not overlap.

    The index of a traded row is the number of traded rows before it.
    """

    def __init__(self, standstills: Sequence[RowRange]) -> None:
        self._first = np.array([run.first_row for run in standstills], dtype=np.int64)
        self._end = np.array([run.end for run in standstills], dtype=np.int64)
        self._skipped = np.concatenate([[0], np.cumsum(self._end - self._first)]).astype(np.int64)
        self._index_of_gap = self._first - self._skipped[:-1]

    def trades(self, row: int) -> bool:
        before = int(np.searchsorted(self._first, row, side="right"))
        return not before or row >= int(self._end[before - 1])

    def index(self, row: int) -> int:
        """The index of a traded row; of another, the index of the next one."""
        before = int(np.searchsorted(self._first, row, side="right"))
        return max(row, int(self._end[before - 1])) - int(self._skipped[before]) if before else row

    def rows(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of traded rows, by their indices."""
        return indices + self._skipped[np.searchsorted(self._index_of_gap, indices, side="right")]

    def end(self, first_row: int, bars: int) -> int:
        """The row after the last of `bars` traded rows, of which `first_row` is the first; `bars` >= 1."""
        return int(self.rows(np.array([self.index(first_row) + bars - 1]))[0]) + 1


class SnapshotRows:
    """`times`: int64[rows], epoch seconds UTC of every row; `standstills`: the rows on which nothing trades."""

    def __init__(self, times: Times, standstills: Sequence[RowRange]) -> None:
        self.times = times
        self.traded = TradedRows(standstills)

    def __len__(self) -> int:
        return len(self.times)

    def bars(self, span: pattern_pb2.EvidenceSpan, horizon: int) -> EvidenceBars:
        """The bars of a span, whose labels are known `horizon` traded bars later; views where nothing stands still.

        InvalidInput for flags that do not fit, a first row outside the snapshot or in a standstill, and bars or labels
        beyond the last traded row.
        """
        fired, outcomes = flags(span)
        if not 0 <= span.first_row < len(self):
            raise _refused(f"begins at row {span.first_row}; the data set has rows 0 to {len(self) - 1}", "no such row")
        if not self.traded.trades(span.first_row):
            raise _refused(f"begins at row {span.first_row}, on which nothing trades; name a traded row", "standstill")
        first, last = self.traded.index(span.first_row), self.traded.index(len(self)) - 1
        if first + span.bars - 1 + horizon > last:
            raise _refused(
                f"has {span.bars} bars from row {span.first_row} on, with labels {horizon} bars later; the data set has"
                f" {last - first + 1} traded rows from there on",
                "beyond the last row",
            )
        times = self.times[self.traded.rows(np.arange(first, first + span.bars + horizon))]
        return EvidenceBars(times[: span.bars], times[horizon:], fired, outcomes)

    def evidence(self, spans: Iterable[pattern_pb2.EvidenceSpan], horizon: int) -> EvidenceBars:
        """The bars of all spans, in their order; see `bars`."""
        return EvidenceBars.concatenated([self.bars(span, horizon) for span in spans])

    def span(self, times: Times, fired: Flags, outcomes: Flags) -> pattern_pb2.EvidenceSpan:
        """The span of n tested bars: `fired` and `outcomes` bool[n].

        `times`: int64[n + horizon], those of consecutive traded bars, the first n of them tested; InvalidInput for
        others.
        """
        first = self.traded.index(int(self.rows_of(times[:1])[0]))
        indices = np.arange(first, first + len(times))
        if first + len(times) > self.traded.index(len(self)) or (self.times[self.traded.rows(indices)] != times).any():
            raise _refused(f"is of bars that are not consecutive traded bars from {times[0]} on", "not consecutive")
        return encode(int(self.traded.rows(indices[:1])[0]), fired, outcomes)

    def rows_of(self, times: Times) -> NDArray[np.int64]:
        """The rows of bar times; InvalidInput for a time that is no bar's."""
        rows = np.searchsorted(self.times, times)
        known = self.times[rows.clip(max=len(self) - 1)] == times
        if not known.all():
            raise _refused(f"is of a bar at {times[~known][0]}, which the data set does not have", "no such bar")
        return rows


def _refused(problem: str, field: str) -> InvalidInput:
    return InvalidInput(f"evidence {problem}", fields={"evidence": field})
