"""Online rebuild of read tables from position 0, beside the live ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.registry.eventlog.database import Database, Reader, Writer
from services.registry.eventlog.read_tables import REBUILT, Table, TableNames, create, project
from services.registry.eventlog.reading import ALL, head_position, page


@dataclass(frozen=True, slots=True)
class RebuildResult:
    """Result of a rebuild: `identical` if the live table held exactly the projected rows."""

    name: str
    rows: int
    identical: bool


def prepare(database: Database, tables: Sequence[Table]) -> list[RebuildResult]:
    """Creates the tables; rebuilds all of them if one is missing or has another definition.

    Waits for a rebuild by another process.
    """
    with database.write() as writer:
        stale = [table for table in tables if not _is_current(writer, table)]
        if head_position(writer) == 0:
            for table in stale:
                create(writer, table, TableNames(tables))
                _mark(writer, table)
            return []
    if not stale:
        return []
    with database.rebuilding(wait=True):
        with database.read() as reader:
            stale = [table for table in stale if not _is_current(reader, table)]
        return rebuild(database, tables) if stale else []


def rebuild(database: Database, tables: Sequence[Table]) -> list[RebuildResult]:
    """Projects the whole log anew, compares, and replaces a table if it differs.

    The writer is held for one batch at a time, and at the end for late events, comparison and swap. One rebuild of a
    log at a time: the caller holds `Database.rebuilding`.
    """
    names = TableNames(tables, REBUILT)
    with database.write() as writer:
        for table in tables:
            create(writer, table, names)
    done = 0
    while True:
        with database.write() as writer:
            end = head_position(writer)
            events, reached = page(writer, ALL, done + 1, end)
            project(writer, tables, names, events)
            done = reached
            if done >= end:
                return [_swap(writer, table, tables) for table in tables]


def _swap(writer: Writer, table: Table, tables: Sequence[Table]) -> RebuildResult:
    fresh = table.name + REBUILT
    [row] = writer.rows(f"SELECT COUNT(*) AS rows FROM {fresh}")
    fits = _is_current(writer, table) and writer.columns(table.name) == writer.columns(fresh)
    identical = fits and _is_same(writer, table.name, fresh)
    if fits and not identical:
        # Not recreated: in PostgreSQL a concurrent reader would find the new table empty.
        writer.execute(f"DELETE FROM {table.name}")
    elif not fits:
        create(writer, table, TableNames(tables))
        _mark(writer, table)
    if not identical:
        writer.execute(f"INSERT INTO {table.name} SELECT * FROM {fresh}")
    writer.execute(f"DROP TABLE {fresh}")
    return RebuildResult(table.name, int(row["rows"]), identical)


def _is_same(reader: Reader, one: str, other: str) -> bool:
    """Whether two tables of the same columns hold the same rows, in any order."""
    counts = [next(iter(reader.rows(f"SELECT COUNT(*) AS rows FROM {name}")))["rows"] for name in (one, other)]
    missing = reader.rows(f"SELECT * FROM {one} EXCEPT SELECT * FROM {other} LIMIT 1")
    added = reader.rows(f"SELECT * FROM {other} EXCEPT SELECT * FROM {one} LIMIT 1")
    return counts[0] == counts[1] and not any(True for _ in missing) and not any(True for _ in added)


def _is_current(reader: Reader, table: Table) -> bool:
    marks = reader.rows("SELECT definition FROM read_tables WHERE name = ?", (table.name,))
    return any(row["definition"] == table.definition for row in marks) and bool(reader.columns(table.name))


def _mark(writer: Writer, table: Table) -> None:
    writer.execute(
        "INSERT INTO read_tables (name, definition) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET definition = excluded.definition",
        (table.name, table.definition),
    )
