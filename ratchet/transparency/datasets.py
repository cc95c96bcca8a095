"""Checks of data sets and of the rows that evidence names, in log order."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.names import Task
from ratchet.patterns.bar_times import MAX_ROWS
from ratchet.patterns.evidence import flags
from ratchet.patterns.snapshot_rows import TradedRows
from ratchet.patterns.snapshots import Registration
from ratchet.transparency.references import LARGEST, NamePositions

RECENT = 1024
"""Data sets whose references are checked at once; references to older ones are checked at the end."""

_EVERY_ROW = TradedRows(())


class DatasetVerifier:
    """Takes the facts that register data sets or refer to them, and yields violations as text.

    Its memory is 24 bytes for each data set and each reference to an old one, and the standstills.
    """

    def __init__(self) -> None:
        self._recent: dict[str, int] = {}
        self._standstills: dict[str, TradedRows] = {}
        self._registered, self._required = _DatasetRows(), _DatasetRows()

    def add(self, fact: facts_pb2.DatasetRegistered, position: int) -> Iterator[str]:
        """A registration: its rows fit together, and the snapshots that it names were registered."""
        series = fact.symbol if fact.timeframe in ("", "1d") else f"{fact.symbol}@{fact.timeframe}"
        name = _name(fact.digest, series)
        try:
            registration = Registration.of(fact)
            if registration.standstills:
                self._standstills.setdefault(name, TradedRows(registration.standstills))
        except InvalidInput as error:
            yield error.message
        base = fact.cut_from or fact.previous_digest
        for digest in filter(None, (fact.previous_digest, fact.cut_from)):
            yield from self.require(digest, series, position, fact.kept_rows if digest == base else 0)
        self._registered.add(name, position, fact.rows)
        self._recent.setdefault(name, fact.rows)
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    def require(self, digest: str, series: str, position: int, rows: int = 0) -> Iterator[str]:
        """A reference to a data set of a series, which has at least `rows` rows."""
        known = self._recent.get(_name(digest, series))
        if known is None:
            self._required.add(_name(digest, series), position, rows)
        elif known < rows:
            yield _too_few_rows(rows, known)

    def check_evidence(self, evidence: pattern_pb2.BarEvidence, series: str, task: str, position: int) -> Iterator[str]:
        """Evidence names traded rows of a data set of its series, up to the row of its last label.

        InvalidInput for a malformed span or task.
        """
        traded = self._standstills.get(_name(evidence.dataset_digest, series), _EVERY_ROW)
        needed, horizon = 0, Task.parse(task).horizon
        for span in evidence.spans:
            flags(span)
            if not 0 <= span.first_row < MAX_ROWS or not traded.trades(span.first_row):
                yield f"its evidence begins at row {span.first_row}, which is no traded row"
            else:
                needed = max(needed, traded.end(span.first_row, span.bars + horizon))
        yield from self.require(evidence.dataset_digest, series, position, needed)

    def finish(self) -> Iterator[str]:
        """The violations of the references to old data sets."""
        for position, needed, rows in self._registered.unresolved(self._required):
            unknown = "a data set that it names was not registered for its series before it"
            yield f"position {position}: {unknown if rows is None else _too_few_rows(needed, rows)}"


class _DatasetRows:
    """Data sets by name, or references to them, with positions and numbers of rows: 24 bytes each.

    The rows of a reference are those that it needs.
    """

    __slots__ = ("_names", "_rows")

    def __init__(self) -> None:
        self._names, self._rows = NamePositions(), array("q")

    def add(self, name: str, position: int, rows: int) -> None:
        self._names.add(name, position)
        self._rows.append(min(max(rows, 0), LARGEST))

    def unresolved(self, wanted: _DatasetRows) -> Iterator[tuple[int, int, int | None]]:
        """Each reference without an earlier data set of this name and its rows, in order of position.

        Its position, the rows that it needs, and those of the data set; None for an unknown one.
        """
        hashes, positions, needed = wanted._sorted()
        rows = np.full(len(hashes), -1, dtype=np.int64)
        given, since, given_rows = self._sorted()
        if len(given):
            first = np.searchsorted(given, hashes).clip(max=len(given) - 1)
            rows = np.where((given[first] == hashes) & (since[first] < positions), given_rows[first], rows)
        at = np.flatnonzero(rows < needed)
        found = zip(positions[at].tolist(), needed[at].tolist(), rows[at].tolist(), strict=True)
        for position, need, known in sorted(found):
            yield position, need, None if known < 0 else known

    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Hashes, positions and rows, in order of hash, then of position."""
        order = self._names.order()
        return (*self._names.arrays(), np.array(self._rows, dtype=np.int64)[order])


def _name(digest: str, series: str) -> str:
    return f"{digest} {series}"


def _too_few_rows(needed: int, rows: int) -> str:
    return f"it needs {needed} rows of a data set of {rows}"
