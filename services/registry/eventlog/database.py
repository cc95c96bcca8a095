"""The port to the log's database: one exclusive writer, any number of readers, portable SQL.

Parameters are written `?`. Storage failures raise a RatchetError with the next step: LogFull (disk full), NotAllowed
(read-only), Unreachable (locked, or missing), CorruptData.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeAlias

SqlValue: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = dict[str, Any]


class ConstraintBroken(Exception):
    """A statement violated a constraint of its table: a defect of the caller."""


class Reader(Protocol):
    """One snapshot of the database."""

    def rows(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """The rows of a small query, executed lazily."""

    def stream(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """The rows of a query of any size, fetched lazily; several streams may be open."""

    def columns(self, table: str) -> Mapping[str, str]:
        """The columns of a table in order, with their types; empty for a missing table."""


class Writer(Reader, Protocol):
    """One exclusive transaction."""

    @property
    def alive(self) -> bool:
        """Whether the transaction can continue after an error inside a savepoint."""

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> None:
        """Runs a statement before any later query; its error may surface with that query, or with `flush`."""

    def execute_many(self, sql: str, params: Iterable[Sequence[SqlValue]]) -> None:
        """Runs the same statement with each of the parameters."""

    def flush(self) -> None:
        """Waits for the completion of all statements."""


@contextmanager
def savepoint(writer: Writer) -> Iterator[None]:
    """Rolls back the writes of the block on an error."""
    writer.execute("SAVEPOINT part")
    try:
        yield
        writer.flush()
    except BaseException:
        if writer.alive:
            writer.execute("ROLLBACK TO part")
            writer.execute("RELEASE part")
        raise
    writer.execute("RELEASE part")


class Database(Protocol):
    """The log's database; safe to use from several threads and processes."""

    def read(self) -> AbstractContextManager[Reader]:
        """A read-only snapshot; keep it short."""

    def write(self) -> AbstractContextManager[Writer]:
        """Exclusive among all processes; durable at its end, rolled back on an error."""

    def rebuilding(self, *, wait: bool) -> AbstractContextManager[None]:
        """The exclusive right to rebuild read tables, among all processes.

        Conflict during another rebuild, unless `wait`.
        """

    def listen(self, wake: Callable[[], None]) -> None:
        """Calls `wake` soon after a commit of another process, if the database notifies; followers also poll."""

    def close(self) -> None: ...
