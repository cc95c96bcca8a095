"""The log as the registry uses it: one object that appends, reads, follows, queries and rebuilds."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from eventsourcing.persistence import ApplicationRecorder

from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.transparency.checkpoints import Head as SignedHead
from ratchet.transparency.checkpoints import Key
from services.registry.eventlog.append import Append, Committed, Origin, Recorded
from services.registry.eventlog.checkpoint_file import HeadsFile
from services.registry.eventlog.checkpoints import Signer, head_of, heads_from, newest_head
from services.registry.eventlog.commit import Commit
from services.registry.eventlog.database import Database, SqlValue
from services.registry.eventlog.keys import keys
from services.registry.eventlog.proofs import Proof, prove_consistency, prove_inclusion
from services.registry.eventlog.read_tables import Table
from services.registry.eventlog.reading import ALL, EVERYTHING, Filter, Head, Query, head, read
from services.registry.eventlog.rebuild import Rebuilt, prepare, rebuild
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
        self._heads: HeadsFile | None = None
        prepare(database, tables)
        database.listen(self._signal.send)
        self.recorder: ApplicationRecorder = LogRecorder(database, self._commit, self._signal)

    def commit(self, append: Append) -> Committed:
        """Append all events or none; see `Commit`."""
        return self._commit(append)

    def sign_with(self, signer: Signer, heads: HeadsFile | None = None, actor: str = REGISTRY) -> None:
        """Sign each new head from here on, and write heads down in a file too; see `Commit.sign_with`.

        CorruptData when the log is not a continuation of what the file remembers.
        """
        if heads is not None:
            with self.database.read() as reader:
                heads.check(reader)
        self._commit.sign_with(signer, heads.note if heads else lambda _: None, actor)
        self._heads = heads
        if heads is not None:
            heads.start()
            if (newest := self.signed_head()) is not None:
                heads.note(newest)

    def rotate(self, new: Signer, actor: str, reason: str) -> int:
        """Put another key in force, by the one of `sign_with`; the position of the fact. See `Commit.rotate`."""
        return self._commit.rotate(new, actor, reason)

    def keys(self) -> list[Key]:
        """Every key that was introduced, the one in force last."""
        with self.database.read() as reader:
            return keys(reader)

    def signed_head(self, size: int | None = None) -> SignedHead | None:
        """The signed head of exactly `size` events, or the newest one; None where none was signed."""
        with self.database.read() as reader:
            return newest_head(reader) if size is None else head_of(reader, size)

    def signed_heads(self, from_size: int, limit: int) -> list[SignedHead]:
        with self.database.read() as reader:
            return list(heads_from(reader, from_size, limit))

    def prove_inclusion(self, position: int, size: int = 0) -> tuple[Recorded, Proof]:
        """That an event is in the log; see `proofs`."""
        with self.database.read() as reader:
            return prove_inclusion(reader, position, size)

    def prove_consistency(self, old_size: int, new_size: int = 0) -> Proof:
        """That nothing before was changed; see `proofs`."""
        with self.database.read() as reader:
            return prove_consistency(reader, old_size, new_size)

    def replayed(self, origin: Origin) -> Committed | None:
        """The first answer to a request that was accepted before, or None; AlreadyExists if it was another request."""
        return self._commit.replayed(origin)

    def read(self, query: Query = ALL) -> Iterator[list[Recorded]]:
        """Batches of at most 500 events."""
        return read(self.database, query)

    def head(self) -> Head:
        with self.database.read() as reader:
            return head(reader)

    def follow(
        self, after: int, wanted: Filter = EVERYTHING, active: Callable[[], bool] = lambda: True
    ) -> Iterator[tuple[list[Recorded], int]]:
        """Batches of events after a position, without end: until `active` says no, or the log is closed."""
        return follow(self.database, self._signal, after, wanted, lambda: self._open and active())

    def query(self, sql: str, params: Sequence[SqlValue] = ()) -> list[dict[str, Any]]:
        """Rows of the read tables, under their plain names and with `?` parameters; shows what was committed before."""
        with self.database.read() as reader:
            return list(reader.rows(sql, params))

    def rebuild(self) -> list[Rebuilt]:
        """Build the read tables anew from position 0; Conflict while another rebuild runs."""
        with self.database.rebuilding(wait=False):
            return rebuild(self.database, self._tables)

    def release(self) -> None:
        """End all followers: a server that stops need not wait for its subscribers."""
        self._open = False
        self._signal.send()

    def close(self) -> None:
        """End the followers, wait for what runs, close the database."""
        self.release()
        if self._heads is not None:
            if (newest := self.signed_head()) is not None:
                self._heads.note(newest)
            self._heads.close()
        self.database.close()


def open_log(
    url: str,
    tables: Sequence[Table],
    clock: Callable[[], datetime],
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Log:
    """The log at `sqlite:///abs/path`, made when missing, or in the database at `postgresql://user@host/database`.

    InvalidInput for another url, PreconditionFailed where psycopg is not installed; errors as database.py.
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
