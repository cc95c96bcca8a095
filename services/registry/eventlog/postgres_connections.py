"""Connection pool for PostgreSQL, with reconnection after a server outage.

A caller makes its own connection, so that it learns the reason of a failure: the pool of the eventsourcing library
connects in the background, and its callers learn no reason.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg.types.numeric import NumericBinaryLoader

from ratchet.errors import InvalidInput, RatchetError, Unreachable
from services.registry.eventlog.postgres_errors import WAIT_SECONDS, connection_error

Connection: TypeAlias = psycopg.Connection[DictRow]

MAX_CONNECTIONS = 48
MAX_IDLE = 8

_DEFAULTS = {
    "application_name": "ratchet",
    "connect_timeout": "10",
    # A server that vanished is found out within half a minute, not after the system's hours.
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class Connections:
    """At most `MAX_CONNECTIONS` at a time to the database of one URL; `name` identifies it, without its password."""

    def __init__(self, url: str) -> None:
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:
            raise InvalidInput(
                "the URL of the log in PostgreSQL can't be read; write postgresql://user@host:5432/database, with"
                " letters like % and @ in a name or password as %25 and %40",
                fields={"log": "not a url of a log"},
            ) from None
        self._parameters: dict[str, Any] = {**_DEFAULTS, **given, "client_encoding": "UTF8"}
        host = f"{given.get('host') or 'the default host'}:{given.get('port') or 5432}"
        self.name = f"the log in PostgreSQL ({given.get('dbname') or 'the default database'} at {host})"
        self._changed = threading.Condition()
        self._idle: deque[Connection] = deque()
        self._in_use, self._closed = 0, False

    def connect(self) -> Connection:
        """A dedicated connection, in autocommit mode."""
        try:
            connection: Connection = psycopg.connect(
                **self._parameters,
                autocommit=True,
                row_factory=dict_row,
            )
        except psycopg.Error as error:
            raise connection_error(self.name, error) from error
        connection.adapters.register_loader("numeric", _Number)
        return connection

    @contextmanager
    def begun(self, begin: bytes) -> Iterator[Connection]:
        """A connection that has executed `begin`; it is kept if it comes back outside of a transaction."""
        with self._slot():
            connection = self._begin(begin)
            try:
                yield connection
            finally:
                with self._changed:
                    keep = len(self._idle) < MAX_IDLE and not self._closed
                    if keep and connection.info.transaction_status == TransactionStatus.IDLE:
                        self._idle.append(connection)
                    else:
                        connection.close()

    def close(self) -> None:
        """Waits for connections in use, and refuses new ones."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._in_use == 0)
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        with self._changed:
            if not self._changed.wait_for(lambda: self._in_use < MAX_CONNECTIONS or self._closed, WAIT_SECONDS):
                raise Unreachable(f"all {MAX_CONNECTIONS} connections to {self.name} are busy; try again")
            if self._closed:
                raise Unreachable(f"{self.name} has been closed; start the registry again")
            self._in_use += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_use -= 1
                self._changed.notify_all()

    def _begin(self, begin: bytes) -> Connection:
        """Uses a kept connection, or a new one if all kept ones are broken."""
        while True:
            try:
                connection, is_new = self._idle.pop(), False
            except IndexError:
                connection, is_new = self.connect(), True
            try:
                connection.execute(begin)
            except BaseException:
                was_broken = connection.closed
                connection.close()
                if is_new or not was_broken:
                    raise
            else:
                return connection


class Listener:
    """Calls `wake` after a commit of another process, from a thread and a connection of its own.

    One call after a reconnection covers notifications missed during an outage.
    """

    def __init__(self, connections: Connections, channel: str, own: str, wake: Callable[[], None]) -> None:
        """`own`: the payload of this process's own commits."""
        self._connections, self._channel, self._own, self._wake = connections, channel, own, wake
        self._closed = threading.Event()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def close(self) -> None:
        """Ends the thread soon."""
        self._closed.set()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with self._connections.connect() as connection:
                    connection.execute(f"LISTEN {self._channel}".encode())
                    self._wake()
                    while not self._closed.is_set():
                        for notification in connection.notifies(timeout=_POLL_SECONDS):
                            if notification.payload != self._own:
                                self._wake()
            except (psycopg.Error, RatchetError):
                # Followers poll meanwhile, and report the error to their callers.
                self._closed.wait(_POLL_SECONDS)


_POLL_SECONDS = 1.0


class _Number(NumericBinaryLoader):
    """SUM of BIGINT is NUMERIC; it is read as an integer, as from SQLite."""

    def load(self, data: Any) -> Any:
        value = super().load(data)
        return int(value) if value == value.to_integral_value() else float(value)
