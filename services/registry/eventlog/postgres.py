"""The log in a PostgreSQL database, for any number of registry processes.

One writer at a time among all processes, by an advisory lock that ends with its transaction; positions are assigned by
the log and dense, whereas a sequence would leave gaps. A commit wakes the followers of every process.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from ratchet.errors import Conflict, InvalidInput, Unreachable
from services.registry.eventlog.database import Row, SqlValue
from services.registry.eventlog.fair_lock import FairLock
from services.registry.eventlog.postgres_connections import Connection, Connections, Listener
from services.registry.eventlog.postgres_errors import WAIT_SECONDS, mapped_errors

CHANNEL = "ratchet_log"
STREAMED_ROWS = 250

_WRITER, _REBUILDER = 7_301_001, 7_301_002
"""Advisory locks of the database."""

_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# READ COMMITTED: reads after the lock see the commit of the writer before.
_WRITE = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on;"
    f" SET LOCAL lock_timeout = '{WAIT_SECONDS}s'; SET LOCAL idle_in_transaction_session_timeout = '60s';"
    f" SELECT pg_advisory_xact_lock({_WRITER})"
).encode()
_REBUILD = b"BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS stored_events (position BIGINT PRIMARY KEY, originator_id TEXT NOT NULL,"
    " originator_version BIGINT NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL,"
    " UNIQUE (originator_id, originator_version))",
    "CREATE TABLE IF NOT EXISTS requests (request_id TEXT PRIMARY KEY, fingerprint BLOB NOT NULL,"
    " first_position BIGINT NOT NULL, last_position BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS merkle_nodes (level BIGINT, idx BIGINT, hash BLOB NOT NULL, PRIMARY KEY (level, idx))",
    "CREATE TABLE IF NOT EXISTS checkpoints (size BIGINT PRIMARY KEY, note TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS read_tables (name TEXT PRIMARY KEY, definition TEXT NOT NULL)",
)

_COLUMNS = (
    "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
    " WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


class PostgresTransaction:
    """Reader and Writer."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self._cursors: list[psycopg.ServerCursor[Any]] = []
        self._waiting: list[tuple[bytes, Sequence[SqlValue]]] = []

    @property
    def alive(self) -> bool:
        return self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def rows(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        with mapped_errors(self._name), self._sending():
            cursor = self._connection.execute(_adapted(sql), params, binary=True)
        yield from cursor.fetchall()

    def stream(self, sql: str, params: Sequence[SqlValue] = ()) -> Iterator[Row]:
        self.flush()
        with mapped_errors(self._name):
            cursor = self._connection.cursor(f"rows_{next(_numbers)}")
            self._cursors.append(cursor)
            cursor.itersize = STREAMED_ROWS
            cursor.execute(_adapted(sql), params, binary=True)
            yield from cursor
            cursor.close()

    def columns(self, table: str) -> Mapping[str, str]:
        return {row["name"]: row["type"] for row in self.rows(_COLUMNS, (table,))}

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> None:
        self._waiting.append((_adapted(sql), params))

    def execute_many(self, sql: str, params: Iterable[Sequence[SqlValue]]) -> None:
        statement = _adapted(sql)
        self._waiting += ((statement, values) for values in params)

    def flush(self) -> None:
        with mapped_errors(self._name), self._sending():
            pass

    def end(self, statement: bytes) -> None:
        """Closes open cursors, and ends the transaction."""
        for cursor in self._cursors:
            cursor.close()
        self._connection.execute(statement)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """Sends waiting statements first, in one round trip with the statements of the block."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            yield
            return
        with self._connection.pipeline(), self._connection.cursor() as cursor:
            for statement, same in itertools.groupby(waiting, key=itemgetter(0)):
                cursor.executemany(statement, [params for _, params in same])
            yield


class PostgresDatabase:
    """One database, or one schema of it, as in the URL; its encoding is UTF-8."""

    def __init__(self, url: str) -> None:
        """Errors as database.py; InvalidInput for an invalid URL, and for another encoding."""
        self._connections = Connections(url)
        self.name = self._connections.name
        self._write_lock = FairLock()
        self._token = uuid.uuid4().hex
        self._commit = f"NOTIFY {CHANNEL}, '{self._token}'; COMMIT".encode()
        self._listener: Listener | None = None
        with self.write() as writer:
            [row] = writer.rows("SELECT current_setting('server_encoding') AS encoding")
            if row["encoding"] != "UTF8":
                raise InvalidInput(
                    f"{self.name} is encoded in {row['encoding']}; make one with createdb --encoding=UTF8"
                    " --template=template0"
                )
            for statement in _SCHEMA:
                writer.execute(statement)

    @contextmanager
    def read(self) -> Iterator[PostgresTransaction]:
        with self._transaction(_READ) as transaction:
            yield transaction
            transaction.end(b"COMMIT")

    @contextmanager
    def write(self) -> Iterator[PostgresTransaction]:
        # A second writer of this process waits here, without a connection.
        with self._write_lock.hold(), self._transaction(_WRITE) as transaction:
            yield transaction
            transaction.flush()
            try:
                # In a transaction that has failed NOTIFY fails too; COMMIT alone would undo it without a word.
                transaction.end(self._commit)
            except psycopg.OperationalError as error:
                if transaction.alive:
                    raise
                raise Unreachable(
                    f"{self.name} went away during a commit: what was asked for may have been written, or not; send it"
                    " again with the same request id, and it is written once"
                ) from error

    @contextmanager
    def rebuilding(self, *, wait: bool) -> Iterator[None]:
        lock = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
        with self._transaction(_REBUILD) as transaction:
            [row] = transaction.rows(f"SELECT {lock}({_REBUILDER}) AS taken")
            if row["taken"] is False:
                raise Conflict("the read tables are being rebuilt already; wait for that to end")
            yield
            transaction.end(b"COMMIT")

    def listen(self, wake: Callable[[], None]) -> None:
        self._listener = Listener(self._connections, CHANNEL, self._token, wake)

    def close(self) -> None:
        """Waits for running transactions."""
        if self._listener is not None:
            self._listener.close()
        self._connections.close()

    @contextmanager
    def _transaction(self, begin: bytes) -> Iterator[PostgresTransaction]:
        """A transaction that is rolled back on an error."""
        with mapped_errors(self.name), self._connections.begun(begin) as connection:
            transaction = PostgresTransaction(connection, self.name)
            try:
                yield transaction
            except BaseException:
                if transaction.alive:
                    transaction.end(b"ROLLBACK")
                raise


_numbers = itertools.count()


@lru_cache(maxsize=2048)
def _adapted(sql: str) -> bytes:
    """Portable SQL in the dialect of PostgreSQL and psycopg. Texts sort by their bytes, independent of the locale."""
    if sql.lstrip().startswith("CREATE TABLE"):
        sql = re.sub(r"\bBLOB\b", "BYTEA", re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', sql))
    return sql.replace("%", "%%").replace("?", "%s").encode()
