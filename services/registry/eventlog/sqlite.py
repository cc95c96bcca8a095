"""The log in one SQLite file, on the connection pool of the eventsourcing library."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from eventsourcing.persistence import ConnectionUnavailableError
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool

from ratchet.errors import Conflict, CorruptData, InvalidInput, LogFull, NotAllowed, Unreachable
from services.registry.eventlog.database import ConstraintBroken, Row, SqlValue
from services.registry.eventlog.fair_lock import FairLock

BUSY_SECONDS = 30

PREPARED = 256
"""Prepared statements cached per connection: preparing one costs ten times as much as running it."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS stored_events (position INTEGER PRIMARY KEY, originator_id TEXT NOT NULL,"
    " originator_version INTEGER NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL,"
    " UNIQUE (originator_id, originator_version))",
    "CREATE TABLE IF NOT EXISTS requests (request_id TEXT PRIMARY KEY, fingerprint BLOB NOT NULL,"
    " first_position INTEGER NOT NULL, last_position INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS merkle_nodes (level INTEGER, idx INTEGER, hash BLOB NOT NULL,"
    " PRIMARY KEY (level, idx)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS read_tables (name TEXT PRIMARY KEY, definition TEXT NOT NULL) WITHOUT ROWID",
)


class SQLiteTransaction:
    """Reader and Writer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def alive(self) -> bool:
        return self._connection.in_transaction

    def rows(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        with _mapped_errors():
            cursor = self._connection.execute(sql, params)
            names = [column[0] for column in cursor.description]
            for values in cursor:
                yield dict(zip(names, values, strict=True))

    def stream(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        return self.rows(sql, params)

    def columns(self, table: str) -> Mapping[str, str]:
        return {row["name"]: row["type"] for row in self.rows("SELECT name, type FROM pragma_table_info(?)", (table,))}

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> None:
        with _mapped_errors():
            self._connection.execute(sql, params)

    def execute_many(self, sql: str, params: Iterable[Sequence[SqlValue]]) -> None:
        with _mapped_errors():
            self._connection.executemany(sql, params)

    def flush(self) -> None:
        """Statements are executed at once."""


class Pool(SQLiteConnectionPool):
    """The library's pool with a larger statement cache: the library's connections cache one statement.

    The PRAGMA is set once per connection, since each PRAGMA clears the statement cache.
    """

    def __init__(self, path: Path, pragma: str, size: int, overflow: int = 0) -> None:
        super().__init__(db_name=str(path), pool_size=size, max_overflow=overflow, pool_timeout=BUSY_SECONDS)
        self._pragma = pragma

    def _create_connection(self) -> SQLiteConnection:
        connection = sqlite3.connect(
            self.db_name,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=PREPARED,
        )
        connection.execute(self._pragma)
        return SQLiteConnection(connection, None)


class Connections:
    """One writing connection, several read-only ones; closing waits for those in use: SQLite crashes otherwise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle = threading.Condition()
        self._in_use, self._closed = 0, False
        self._writing = Pool(path, "PRAGMA synchronous=FULL", 1)
        self._reading = Pool(path, "PRAGMA query_only=ON", 8, 56)

    @contextmanager
    def one(self, *, writing: bool) -> Iterator[sqlite3.Connection]:
        """An exclusive connection; Unreachable after the close, or if all stay busy."""
        pool = self._writing if writing else self._reading
        with self._idle:
            if self._closed:
                raise Unreachable(f"the log {self._path} has been closed; start the registry again")
            self._in_use += 1
        try:
            pooled = pool.get_connection()
            try:
                with pooled.cursor() as cursor:
                    yield cursor.connection
            finally:
                pool.put_connection(pooled)
        except ConnectionUnavailableError as error:
            raise Unreachable(f"all connections to the log {self._path} are busy; try again") from error
        finally:
            with self._idle:
                self._in_use -= 1
                self._idle.notify_all()

    def close(self) -> None:
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: self._in_use == 0)
        self._writing.close()
        self._reading.close()


class SQLiteDatabase:
    """One file in WAL mode with synchronous=FULL: commits survive a crash of process and machine."""

    def __init__(self, path: Path) -> None:
        if ":memory:" in str(path) or "mode=memory" in str(path):
            raise InvalidInput(
                f"{path} would not outlive the process; name a file, such as sqlite:////var/lib/ratchet/log"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unreachable(f"the folder of the log {path} can't be made: {error}; choose another --home") from error
        self._path = path
        self._write_lock = FairLock()
        with _mapped_errors(path):
            _use_wal(path)
        self._connections = Connections(path)
        with self.write() as writer:
            for statement in _SCHEMA:
                writer.execute(statement)

    @contextmanager
    def read(self) -> Iterator[SQLiteTransaction]:
        with _mapped_errors(self._path), self._connections.one(writing=False) as connection:
            connection.execute("BEGIN")
            try:
                yield SQLiteTransaction(connection)
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[SQLiteTransaction]:
        with self._write_lock.hold(), _mapped_errors(self._path), self._connections.one(writing=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield SQLiteTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def rebuilding(self, *, wait: bool) -> Iterator[None]:
        # The lock of an open file, which ends with its process; on the database itself it would meet SQLite's own.
        lock = self._path.with_name(f"{self._path.name}-rebuild")
        try:
            file = lock.open("wb")
        except OSError as error:
            raise NotAllowed(f"{lock} can't be made: {error.strerror}; allow writing to the folder") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict("the read tables are being rebuilt already; wait for that to end") from error
            yield

    def listen(self, wake: Callable[[], None]) -> None:
        """SQLite has no notifications."""

    def close(self) -> None:
        """Waits for running transactions."""
        self._connections.close()


def _use_wal(path: Path) -> None:
    """Switches the file to WAL mode, waiting for other processes; SQLite itself does not wait here."""
    deadline = time.monotonic() + BUSY_SECONDS
    with closing(sqlite3.connect(path)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


@contextmanager
def _mapped_errors(path: Path | str = "the log's database") -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ConstraintBroken(str(error)) from error
    except sqlite3.Error as error:
        if "Could not decode to UTF-8" in str(error):
            raise CorruptData(f"{path} has text where bytes belong: somebody wrote into it; restore it") from error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in _ERRORS:
            raise
        kind, hint = _ERRORS[code]
        raise kind(f"{path}: {error}; {hint}") from error


_ERRORS = {
    sqlite3.SQLITE_FULL: (LogFull, "nothing of this request was written: free disk space and send it again"),
    sqlite3.SQLITE_READONLY: (NotAllowed, "allow writing to the file and its folder, or choose another log"),
    sqlite3.SQLITE_PERM: (NotAllowed, "allow this user to read and write the file"),
    sqlite3.SQLITE_BUSY: (Unreachable, f"another process has held it for {BUSY_SECONDS} s: stop it, or try again"),
    sqlite3.SQLITE_LOCKED: (Unreachable, "another connection holds it: try again"),
    sqlite3.SQLITE_CANTOPEN: (Unreachable, "check the path and the rights to it"),
    sqlite3.SQLITE_IOERR: (Unreachable, "the disk does not answer as it should: check it and send the request again"),
    sqlite3.SQLITE_CORRUPT: (CorruptData, "the file is damaged: restore it from a backup"),
    sqlite3.SQLITE_NOTADB: (CorruptData, "the file is not a database: name the right one, or restore it"),
}
