"""The rows of registered snapshots, by digest, from the facts DatasetRegistered.

A fact states only the times that its snapshot does not share with an earlier one. Arrays are made on demand; snapshots
that keep all rows of another share one array with it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ratchet.errors import InvalidInput
from ratchet.events.v1 import facts_pb2, rows_pb2
from ratchet.patterns.bar_times import MAX_ROWS, Times, check_times, decode_times
from ratchet.patterns.snapshot_rows import RowRange, SnapshotRows

CACHED_ROWS = 1 << 24
"""Rows of cached snapshots in total, shared ones counted by each."""


@dataclass(frozen=True)
class Registration:
    """The rows of a snapshot, as its fact states them.

    base                 digest of the snapshot whose times its first `kept_rows` rows have; empty for none
    first_bar, last_bar  epoch seconds
    times                BarTimes of the rows after them, serialised; empty without such rows
    """

    base: str
    kept_rows: int
    rows: int
    first_bar: int
    last_bar: int
    times: bytes = field(repr=False)
    standstills: tuple[RowRange, ...]

    @classmethod
    def of(cls, fact: facts_pb2.DatasetRegistered) -> Registration:
        """InvalidInput, with field, value and rule, for a fact whose own statements do not fit together."""
        if not 1 <= fact.rows <= MAX_ROWS:
            raise _refused("rows", f"is {fact.rows}; a snapshot has 1 to {MAX_ROWS} rows")
        if not 0 <= fact.kept_rows <= fact.rows:
            raise _refused("kept_rows", f"is {fact.kept_rows}; it lies between 0 and the {fact.rows} rows")
        base = fact.cut_from or fact.previous_digest
        if fact.kept_rows and not base:
            raise _refused("kept_rows", f"is {fact.kept_rows}, without cut_from or previous_digest; it is 0 then")
        first_bar, last_bar = fact.first_bar.seconds, fact.last_bar.seconds
        counted, last = check_times(fact.times) if fact.HasField("times") else (0, last_bar)
        if counted != fact.rows - fact.kept_rows:
            raise _refused(
                "times",
                f"holds {counted} times; {fact.rows} rows without {fact.kept_rows} kept ones need"
                f" {fact.rows - fact.kept_rows}",
            )
        if last_bar != last:
            raise _refused("last_bar", f"is {last_bar}; the last of its times is {last}")
        if not fact.kept_rows and first_bar != fact.times.first:
            raise _refused("first_bar", f"is {first_bar}; the first of its times is {fact.times.first}")
        if first_bar + min(fact.rows - 1, 1) > last_bar or (fact.rows == 1 and first_bar != last_bar):
            raise _refused("first_bar", f"is {first_bar}, last_bar {last_bar}, with {fact.rows} rows; times increase")
        standstills = tuple(RowRange(run.first_row, run.rows) for run in fact.standstills)
        _check_standstills(standstills, fact.rows)
        times = fact.times.SerializeToString(deterministic=True) if counted else b""
        return cls(base if fact.kept_rows else "", fact.kept_rows, fact.rows, first_bar, last_bar, times, standstills)

    @property
    def first_time(self) -> int | None:
        """The time of the first row after the kept ones; None if all rows are kept."""
        return rows_pb2.BarTimes.FromString(self.times).first if self.times else None


Find: TypeAlias = Callable[[str], Registration | None]
"""The registration of a digest; None for an unknown one."""


def check_base(registration: Registration, find: Find) -> None:
    """InvalidInput for a registration that does not fit to its base."""
    kept = registration.kept_rows
    if not kept:
        return
    base = find(registration.base)
    if base is None:
        raise _refused("kept_rows", f"is {kept}, of snapshot {registration.base!r}, which is not registered")
    if kept > base.rows:
        raise _refused("kept_rows", f"is {kept}; snapshot {registration.base} has {base.rows} rows")
    if registration.first_bar != base.first_bar:
        raise _refused("first_bar", f"is {registration.first_bar}; that of its kept rows is {base.first_bar}")
    last_kept, following = _time_of_row(base, kept - 1, find), registration.first_time
    if following is None and registration.last_bar != last_kept:
        raise _refused("last_bar", f"is {registration.last_bar}; that of its {kept} kept rows is {last_kept}")
    if following is not None and following <= last_kept:
        raise _refused("times", f"begins at {following}; the last kept row is at {last_kept}, and times increase")


def check_repeated(first: Registration, again: Registration) -> None:
    """InvalidInput for another registration of a digest that states other rows."""
    for name in ("rows", "first_bar", "last_bar", "standstills"):
        before, now = getattr(first, name), getattr(again, name)
        if before != now:
            raise _refused(name, f"is {now}, and was {before} when the same snapshot was registered before")


class SnapshotIndex:
    """Rows of snapshots, by digest. Thread-safe; snapshots are added and never change.

    The first registration of a digest states its rows.
    """

    def __init__(self) -> None:
        self._registered: dict[str, Registration] = {}
        self._series: dict[str, frozenset[str]] = {}
        self._resolved: OrderedDict[str, tuple[_Column, SnapshotRows]] = OrderedDict()
        self._resolving = threading.Lock()

    def register(self, series: str, fact: facts_pb2.DatasetRegistered) -> None:
        """InvalidInput for a fact whose statements do not fit together or to those before."""
        registration = Registration.of(fact)
        check_base(registration, self._registered.get)
        first = self._registered.setdefault(fact.digest, registration)
        check_repeated(first, registration)
        self._series[fact.digest] = self._series.get(fact.digest, frozenset()) | {series}

    def rows(self, digest: str, series: str) -> SnapshotRows:
        """The rows of a snapshot of a series; InvalidInput if it is unknown, or of other series."""
        known = self._series.get(digest, frozenset())
        if series not in known:
            problem = f"is of {' and '.join(sorted(known))}, not of {series}" if known else "is not registered"
            raise InvalidInput(
                f"data set {digest!r} {problem}; evidence names a registered snapshot of the pattern's own series",
                fields={"dataset_digest": "of another series" if known else "unknown"},
            )
        with self._resolving:
            return self._resolve(digest)

    def _resolve(self, digest: str) -> SnapshotRows:
        chain = []
        while digest not in self._resolved:
            chain.append(digest)
            digest = self._registered[digest].base
            if not digest:
                break
        column = _Column()
        if digest:
            self._resolved.move_to_end(digest)
            column, rows = self._resolved[digest]
        for name in reversed(chain):
            registration = self._registered[name]
            added = decode_times(rows_pb2.BarTimes.FromString(registration.times)) if registration.times else _NOTHING
            column = column.extended(registration.kept_rows, added)
        if chain:
            registration = self._registered[chain[0]]
            rows = SnapshotRows(column.first(registration.rows), registration.standstills)
            self._resolved[chain[0]] = column, rows
            self._drop_oldest()
        return rows

    def _drop_oldest(self) -> None:
        cached = sum(len(rows) for _, rows in self._resolved.values())
        while cached > CACHED_ROWS and len(self._resolved) > 1:
            _, (_, dropped) = self._resolved.popitem(last=False)
            cached -= len(dropped)


_NOTHING: Times = np.zeros(0, dtype=np.int64)


class _Column:
    """Times of a growing series, with room for more: snapshots that continue each other are its beginnings."""

    def __init__(self, times: Times = _NOTHING, filled: int = 0) -> None:
        self._times, self._filled = times, filled

    def first(self, rows: int) -> Times:
        return self._times[:rows]

    def extended(self, kept: int, added: Times) -> _Column:
        """A column that begins with `kept` rows of this one and `added`: this one, unless it continues differently."""
        end = kept + len(added)
        shared = min(end, self._filled)
        if not np.array_equal(self._times[kept:shared], added[: shared - kept]):
            return _Column(self._times[:kept].copy(), kept).extended(kept, added)
        if end > len(self._times):
            grown = np.empty(end + end // 8, dtype=np.int64)
            grown[: self._filled] = self._times[: self._filled]
            self._times = grown
        if end > self._filled:
            self._times[self._filled : end] = added[self._filled - kept :]
            self._filled = end
        return self


def _check_standstills(runs: tuple[RowRange, ...], rows: int) -> None:
    end = 0
    for run in runs:
        if run.rows < 1:
            raise _refused("standstills", f"has a run of {run.rows} rows; it has at least one")
        if run.first_row < end:
            raise _refused(
                "standstills",
                f"has a run from row {run.first_row} on, after one that ends before row {end};"
                " they are sorted and do not overlap",
            )
        if run.end > rows:
            raise _refused("standstills", f"has a run up to row {run.end - 1}; the last row is {rows - 1}")
        end = run.end


def _time_of_row(registration: Registration, row: int, find: Find) -> int:
    while row not in (0, registration.rows - 1) and row < registration.kept_rows:
        base = find(registration.base)
        assert base is not None, "a registered snapshot has a registered base"
        registration = base
    if row == 0:
        return registration.first_bar
    if row == registration.rows - 1:
        return registration.last_bar
    return int(decode_times(rows_pb2.BarTimes.FromString(registration.times))[row - registration.kept_rows])


def _refused(field: str, problem: str) -> InvalidInput:
    return InvalidInput(f"{field} of a data set {problem}", fields={f"dataset.{field}": "does not fit"})
