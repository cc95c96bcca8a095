"""Read tables: projections of the log, written in the transaction that appends.

SQL names tables by placeholders, `{model_registry}`, in indexes too: a rebuild writes the same rows beside the live
ones.

    Table(
        name="dataset_history",
        create="CREATE TABLE {dataset_history} (digest TEXT PRIMARY KEY, rows BIGINT NOT NULL)",
        indexes=("CREATE INDEX {dataset_history}_by_rows ON {dataset_history} (rows)",),
        project=project,
    )

Parameters are `?`. Portable SQL only: TEXT, BIGINT, DOUBLE PRECISION, BLOB; INSERT … ON CONFLICT (…) DO UPDATE, UPDATE,
DELETE. Texts sort by their bytes; a sort with NULLs needs NULLS FIRST. A table may read other tables, those earlier in
the sequence as they are after the event, but writes only its own. Other queries (`Log.query`) use the plain name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue, Writer

REBUILT = "_rebuilt"


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    params: Sequence[SqlValue] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A projection of the log; `project` returns the statements of an event, from the event alone."""

    name: str
    create: str
    indexes: tuple[str, ...]
    project: Callable[[RecordedEvent], Iterable[Statement]]

    @property
    def definition(self) -> str:
        """The DDL of the stored table; a changed definition requires a rebuild."""
        return "\n".join((self.create, *self.indexes))


class TableNames:
    """Physical names of the tables; `sql` fills them into a statement, cached since statements are few and frequent."""

    def __init__(self, tables: Sequence[Table], suffix: str = "") -> None:
        self._names = {table.name: table.name + suffix for table in tables}
        self.sql = lru_cache(1024)(self._filled)

    def _filled(self, sql: str) -> str:
        return sql.format_map(self._names)


def create(writer: Writer, table: Table, names: TableNames) -> None:
    """Recreates the table empty, under its name in `names`."""
    for sql in (f"DROP TABLE IF EXISTS {{{table.name}}}", table.create, *table.indexes):
        writer.execute(names.sql(sql))


def project(writer: Writer, tables: Sequence[Table], names: TableNames, events: Iterable[RecordedEvent]) -> None:
    """Applies `events` to the tables, event by event."""
    for event in events:
        for table in tables:
            for statement in table.project(event):
                writer.execute(names.sql(statement.sql), [_portable(value) for value in statement.params])


def _portable(value: SqlValue) -> SqlValue:
    """The value in a form that every database stores unchanged: SQLite has no NaN, PostgreSQL no text with a NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\N{SYMBOL FOR NULL}") if "\0" in value else value
    return None if isinstance(value, float) and value != value else value
