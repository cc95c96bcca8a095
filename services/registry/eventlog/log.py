"""The log's facade: append, read, follow, query and rebuild."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from eventsourcing.persistence import ApplicationRecorder

from ratchet.errors import CorruptData, InvalidInput, PreconditionFailed
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import Key
from services.registry.eventlog.append import Append, CommitResult, Origin, RecordedEvent
from services.registry.eventlog.checkpoint_file import CheckpointFile
from services.registry.eventlog.checkpoints import Signer, newest_checkpoint, note_at, notes_from
from services.registry.eventlog.commit import Commit
from services.registry.eventlog.database import Database, SqlValue
from services.registry.eventlog.keys import keys
from services.registry.eventlog.proofs import Proof, prove_consistency, prove_inclusion
from services.registry.eventlog.read_tables import Table
from services.registry.eventlog.reading import ALL, EVERYTHING, Filter, Head, Query, head, read
from services.registry.eventlog.rebuild import RebuildResult, prepare, rebuild
from services.registry.eventlog.recorder import LogRecorder
from services.registry.eventlog.sqlite import SQLiteDatabase
from services.registry.eventlog.subscription import Signal, follow

REGISTRY = "registry"


class Log:
    """One event log with its read tables. Safe to use from several threads."""

    def __init__(
        self,
        database: Database,
        tables: Sequence[Table],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self.database = database
        self._tables = tuple(tables)
        self._signal = Signal()
        self._commit = Commit(database, tables, clock, new_id, self._signal.send)
        self._open = True
        self._checkpoint_file: CheckpointFile | None = None
        prepare(database, tables)
        database.listen(self._signal.send)
        self.recorder: ApplicationRecorder = LogRecorder(database, self._commit, self._signal)

    def commit(self, append: Append) -> CommitResult:
        """Appends all events or none; see `Commit`."""
        return self._commit(append)

    def sign_with(self, signer: Signer, checkpoint_file: CheckpointFile | None = None, actor: str = REGISTRY) -> None:
        """Signs a checkpoint after each commit from here on, and writes it to a file too; see `Commit.sign_with`.

        CorruptData unless the log is a continuation of the file's last checkpoint.
        """
        if checkpoint_file is not None:
            with self.database.read() as reader:
                checkpoint_file.check(reader)
        self._commit.sign_with(signer, checkpoint_file.note if checkpoint_file else lambda _: None, actor)
        self._checkpoint_file = checkpoint_file
        if checkpoint_file is not None:
            checkpoint_file.start()
            self._note_newest(checkpoint_file)

    def _note_newest(self, checkpoint_file: CheckpointFile) -> None:
        if (newest := self.checkpoint()) is not None:
            checkpoint_file.note(newest)

    def rotate(self, new: Signer, actor: str, reason: str) -> int:
        """Puts another key in force, signed by the current one; returns the position of the fact.

        See `Commit.rotate`.
        """
        return self._commit.rotate(new, actor, reason)

    def keys(self) -> list[Key]:
        """Every introduced key, the one in force last."""
        with self.database.read() as reader:
            return keys(reader)

    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint; None without one."""
        with self.database.read() as reader:
            return newest_checkpoint(reader)

    def note(self, size: int) -> str:
        """The checkpoint of exactly `size` events, as a note; empty without one."""
        with self.database.read() as reader:
            return note_at(reader, size)

    def notes(self, from_size: int, limit: int) -> list[str]:
        """At most `limit` checkpoints of at least `from_size` events, as notes, the smallest first."""
        with self.database.read() as reader:
            return [note for _, note in notes_from(reader, from_size, limit)]

    def prove_inclusion(self, position: int, size: int = 0) -> tuple[RecordedEvent, Proof]:
        """The inclusion proof of an event; see `proofs`."""
        with self.database.read() as reader:
            return prove_inclusion(reader, position, size)

    def prove_consistency(self, old_size: int, new_size: int = 0) -> Proof:
        """The consistency proof of an older size; see `proofs`."""
        with self.database.read() as reader:
            return prove_consistency(reader, old_size, new_size)

    def replayed(self, origin: Origin) -> CommitResult | None:
        """The first answer to an accepted request, or None; AlreadyExists for another request with its id."""
        return self._commit.replayed(origin)

    def read(self, query: Query = ALL) -> Iterator[list[RecordedEvent]]:
        """Batches of at most 500 events."""
        return read(self.database, query)

    def head(self) -> Head:
        with self.database.read() as reader:
            return head(reader)

    def follow(
        self, after: int, wanted: Filter = EVERYTHING, active: Callable[[], bool] = lambda: True
    ) -> Iterator[tuple[list[RecordedEvent], int]]:
        """Batches of events after a position, without end: until `active` returns False, or the log is closed."""
        return follow(self.database, self._signal, after, wanted, lambda: self._open and active())

    def query(self, sql: str, params: Sequence[SqlValue] = ()) -> list[dict[str, Any]]:
        """Rows of the read tables, under their plain names and with `?` parameters, as of the last commit."""
        with self.database.read() as reader:
            return list(reader.rows(sql, params))

    def rebuild(self) -> list[RebuildResult]:
        """Rebuilds the read tables from position 0; Conflict during another rebuild."""
        with self.database.rebuilding(wait=False):
            return rebuild(self.database, self._tables)

    def release(self) -> None:
        """Ends all followers: a stopping server need not wait for its subscribers."""
        self._open = False
        self._signal.send()

    def close(self) -> None:
        """Ends the followers, waits for running transactions, closes the database."""
        self.release()
        if self._checkpoint_file is not None:
            with suppress(CorruptData):  # the next start refuses it, with the reason
                self._note_newest(self._checkpoint_file)
            self._checkpoint_file.close()
        self.database.close()


def open_log(
    url: str,
    tables: Sequence[Table],
    clock: Callable[[], datetime],
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Log:
    """The log at `sqlite:///abs/path`, created if missing, or in the database at `postgresql://user@host/database`.

    InvalidInput for another URL, PreconditionFailed without psycopg; errors as database.py.
    """
    return Log(_database(url), tables, clock, new_id)


def _database(url: str) -> Database:
    scheme, _, path = url.partition("://")
    if scheme == "postgresql":
        try:
            from services.registry.eventlog.postgres import PostgresDatabase
        except ImportError as error:
            raise PreconditionFailed(
                f"a log in PostgreSQL needs {error.name or 'libpq'}, which is not installed;"
                " pip install 'ratchet-models-server[postgres]'"
            ) from error
        return PostgresDatabase(url)
    if scheme != "sqlite" or not path.startswith("/") or not path.strip("/"):
        # A URL that is shown may hold a password.
        shown = repr(url) if "@" not in url else "this"
        raise InvalidInput(
            f"{shown} is not a log; write sqlite:////abs/path or postgresql://user@host:5432/database",
            fields={"log": "not a url of a log"},
        )
    return SQLiteDatabase(Path("/" + path.lstrip("/")))
