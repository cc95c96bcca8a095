"""The port to the database of the log: one exclusive writer, any number of readers, portable SQL.

Parameters are written `?`; an adapter adapts them. Storage that fails raises a RatchetError that says what to do:
LogFull (disk full), NotAllowed (read-only), Unreachable (locked, or not there), CorruptData.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeAlias

SqlValue: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = dict[str, Any]


class ConstraintBroken(Exception):
    """A statement broke a constraint of its table: a defect of whoever wrote the statement."""


class Reader(Protocol):
    """One snapshot of the database."""

    def rows(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """The rows of a query that has few; run when they are asked for."""

    def stream(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """The rows of a query that may have any number, fetched as they are asked for; several streams at a time."""

    def columns(self, table: str) -> Mapping[str, str]:
        """The columns of a table in their order, with their types; none for a table that is not there."""


class Writer(Reader, Protocol):
    """One exclusive transaction."""

    @property
    def alive(self) -> bool:
        """Whether the transaction can go on after an error that left a savepoint."""

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> None:
        """Run a statement before anything that is asked later; its error may come with that, or with `flush`."""

    def execute_many(self, sql: str, params: Iterable[Sequence[SqlValue]]) -> None:
        """The same statement with each of the parameters."""

    def flush(self) -> None:
        """Wait until everything that was to be executed has been."""


@contextmanager
def savepoint(writer: Writer) -> Iterator[None]:
    """What is written inside is undone when an error leaves it."""
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
    """Where the log lives; safe to use from several threads, and beside other processes."""

    def read(self) -> AbstractContextManager[Reader]:
        """A snapshot, in which nothing can be written; keep it short."""

    def write(self) -> AbstractContextManager[Writer]:
        """Exclusive among all processes; durable when it ends, undone when an error leaves it."""

    def rebuilding(self, *, wait: bool) -> AbstractContextManager[None]:
        """The right to rebuild read tables, of one at a time among all processes. Conflict where another has it, unless
        that is waited for."""

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` soon after another process has committed, where the database tells; followers look for
        themselves from time to time."""

    def close(self) -> None: ...
