"""The port to the database of the log: one exclusive writer, any number of readers, portable SQL.

Parameters are written `?`; an adapter adapts them. Storage that fails raises a RatchetError that says what to do:
LimitReached (disk full), NotAllowed (read-only), Unreachable (locked, or not there), CorruptData.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from eventsourcing.persistence import ApplicationRecorder

from services.registry.log.append import Append, Committed

if TYPE_CHECKING:
    from services.registry.log.subscription import Signal

SqlValue: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = Mapping[str, Any]


class ConstraintBroken(Exception):
    """A statement broke a constraint of its table: a defect of whoever wrote the statement."""


class Reader(Protocol):
    """One snapshot of the database."""

    def rows(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        """The rows of a query, run and fetched as they are asked for."""

    def has_table(self, name: str) -> bool: ...


class Writer(Reader, Protocol):
    """One exclusive transaction."""

    @property
    def alive(self) -> bool:
        """Whether the transaction can go on after an error that left a savepoint."""

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> None: ...

    def execute_many(self, sql: str, params: Iterable[Sequence[SqlValue]]) -> None: ...

    def savepoint(self) -> AbstractContextManager[None]:
        """What is written inside is undone when an error leaves it."""


class Database(Protocol):
    """Where the log lives; safe to use from several threads, and beside other processes."""

    def read(self) -> AbstractContextManager[Reader]:
        """A snapshot, in which nothing can be written; keep it short."""

    def write(self) -> AbstractContextManager[Writer]:
        """Exclusive among all processes; durable when it ends, undone when an error leaves it."""

    def recorder(self, commit: Callable[[Append], Committed], signal: Signal) -> ApplicationRecorder:
        """The eventsourcing library's recorder over this database; its inserts go through `commit`."""

    def close(self) -> None: ...
