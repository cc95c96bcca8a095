"""Integrity check of derived data against the events: Merkle nodes, requests, read tables.

Nothing is written or locked: one snapshot is read, in order.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import zip_longest
from pathlib import Path

from ratchet.transparency.merkle import Node
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import Reader, Row, Writer
from services.registry.eventlog.read_tables import Table, TableNames, create, project
from services.registry.eventlog.sqlite import SQLiteTransaction


class MerkleNodeCheck:
    """Compares the stored Merkle nodes, level by level, with those of the events."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._levels: list[Iterator[Row]] = []
        self._next: list[Row | None] = []
        self.count = 0

    def check(self, computed: Iterable[Node]) -> Iterator[str]:
        """Checks the nodes that the next event completed."""
        for level, index, node in computed:
            self.count += 1
            if level == len(self._levels):
                self._levels.append(self._reader.stream(_LEVEL, (level,)))
                self._next.append(next(self._levels[level], None))
            while (stored := self._next[level]) is not None and _before(stored["idx"], index):
                yield f"merkle_nodes: node {stored['idx']} of level {level} is one too many"
                self._next[level] = next(self._levels[level], None)
            if stored is None or stored["idx"] != index:
                yield f"merkle_nodes: node {index} of level {level} is missing"
                continue
            if stored["hash"] != node:
                about = f"position {index + 1}" if level == 0 else f"the events below node {index} of level {level}"
                yield f"{about}: not what its stored Merkle node was made of; one of them was changed"
            self._next[level] = next(self._levels[level], None)

    def finish(self) -> Iterator[str]:
        """Reports nodes without an event."""
        for level, stored in enumerate(self._next):
            if stored is not None:
                count = 1 + sum(1 for _ in self._levels[level])
                yield f"merkle_nodes: {count} nodes of level {level} too many, from {stored['idx']} on"
        levels = len(self._levels)
        for row in self._reader.rows(
            "SELECT COUNT(*) AS n FROM merkle_nodes WHERE level NOT BETWEEN 0 AND ?", (levels - 1,)
        ):
            if row["n"]:
                yield f"merkle_nodes: {row['n']} nodes of levels that the log does not have"


class RequestCheck:
    """Compares the stored requests with the runs of request ids in the events."""

    def __init__(self, reader: Reader) -> None:
        self._rows = reader.stream("SELECT * FROM requests ORDER BY first_position")
        self._request, self._first, self._last = "", 0, 0
        self.count = 0

    def check(self, position: int, request_id: str) -> Iterator[str]:
        """Checks the next event."""
        if request_id != self._request:
            yield from self._close()
            self._request, self._first = request_id, position
        self._last = position

    def finish(self) -> Iterator[str]:
        yield from self._close()
        for row in self._rows:
            yield f"requests: {row['request_id']} is the request of no event"

    def _close(self) -> Iterator[str]:
        """Compares the end of a run with the next row."""
        if not self._first:
            return
        self.count += 1
        row = next(self._rows, None)
        found = (row["request_id"], row["first_position"], row["last_position"]) if row else None
        if found != (self._request, self._first, self._last):
            stored_request = f"request {found[0]} at positions {found[1]} to {found[2]}" if found else "nothing"
            yield (
                f"requests: {stored_request}, where the events say request {self._request} at positions {self._first}"
                f" to {self._last}"
            )
        elif row is not None and not isinstance(row["fingerprint"], bytes):
            yield f"requests: the fingerprint of {self._request} was changed"


def check_tables(
    reader: Reader, tables: Sequence[Table], events: Callable[[], Iterable[RecordedEvent]], rows: dict[str, int]
) -> Iterator[str]:
    """Rebuilds the read tables in a temporary database, and compares them row by row with the live ones.

    `rows` gets the number of rows of each.
    """
    marks = {row["name"]: row["definition"] for row in reader.rows("SELECT * FROM read_tables")}
    with _temporary_database() as writer:
        names = TableNames(tables)
        for table in tables:
            create(writer, table, names)
        project(writer, tables, names, events())
        for table in tables:
            if marks.get(table.name) != table.definition or not reader.columns(table.name):
                yield f"table {table.name}: it is not there as this version makes it; run ratchet log rebuild"
                continue
            differing, rows[table.name] = _compare(reader, writer, table.name)
            if differing:
                yield f"table {table.name}: {differing}; find out who wrote it, then run ratchet log rebuild"


def _compare(live: Reader, fresh: Reader, name: str) -> tuple[str, int]:
    """The difference of the live table, empty if identical, and the expected number of rows."""
    [first] = fresh.rows(f"SELECT COUNT(*) AS n FROM {name}")
    columns, held = list(fresh.columns(name)), list(live.columns(name))
    if held != columns:
        return f"it has the columns {', '.join(held)}", first["n"]
    in_order = f"SELECT * FROM {name} ORDER BY {', '.join(f'{column} NULLS FIRST' for column in columns)}"
    pairs = zip_longest(live.stream(in_order), fresh.stream(in_order))
    for one, other in pairs:
        if (
            one is None
            or other is None
            or [_with_type(one[c]) for c in columns] != [_with_type(other[c]) for c in columns]
        ):
            return f"it holds {_row(one)}, where the log gives {_row(other)}", first["n"]
    return "", first["n"]


def _with_type(value: object) -> tuple[type, object]:
    return type(value), value


def _row(row: Row | None) -> str:
    if row is None:
        return "no further row"
    shown = (f"{value!r}" for value in list(row.values())[:4])
    return f"the row ({', '.join(shown)}, …)"


def _before(stored: object, index: int) -> bool:
    """Whether a stored index sorts before `index`: in SQLite NULL and numbers sort before other types."""
    return not isinstance(stored, int) or stored < index


@contextmanager
def _temporary_database() -> Iterator[Writer]:
    """An empty database in a temporary file, removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="ratchet-verify-") as folder,
        closing(sqlite3.connect(Path(folder) / "tables.sqlite", isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        yield SQLiteTransaction(connection)


_LEVEL = "SELECT idx, hash FROM merkle_nodes WHERE level = ? ORDER BY idx"
