"""Connections to PostgreSQL: kept for the next transaction, replaced when the server has been away.

A connection is made by whoever needs one, so that the reason why it can't be made reaches them: the pool of the
eventsourcing library makes connections in the background, and whoever waits for one learns no reason.
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
from services.registry.eventlog.postgres_errors import WAIT_SECONDS, refused

Connection: TypeAlias = psycopg.Connection[DictRow]

MOST = 48
KEPT = 8

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
    """At most `MOST` at a time to the database of one URL; `name` tells which, without its password."""

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
        """A connection of the caller's own, in autocommit mode."""
        try:
            connection: Connection = psycopg.connect(
                **self._parameters,
                autocommit=True,
                row_factory=dict_row,
            )
        except psycopg.Error as error:
            raise refused(self.name, error) from error
        connection.adapters.register_loader("numeric", _Number)
        return connection

    @contextmanager
    def begun(self, begin: bytes) -> Iterator[Connection]:
        """A connection on which `begin` was executed; it is kept if it comes back outside of a transaction."""
        with self._place():
            connection = self._begin(begin)
            try:
                yield connection
            finally:
                with self._changed:
                    keep = len(self._idle) < KEPT and not self._closed
                    if keep and connection.info.transaction_status == TransactionStatus.IDLE:
                        self._idle.append(connection)
                    else:
                        connection.close()

    def close(self) -> None:
        """Wait for those in use, and let nobody in."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._in_use == 0)
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        with self._changed:
            if not self._changed.wait_for(lambda: self._in_use < MOST or self._closed, WAIT_SECONDS):
                raise Unreachable(f"all {MOST} connections to {self.name} are busy; try again")
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
        """On a kept connection, or, where all of those turn out to be broken, on a new one."""
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
    """Calls `wake` whenever another process has committed, from a thread and over a connection of its own.

    What is missed while the server is away is made good by one call when it is back.
    """

    def __init__(self, connections: Connections, channel: str, own: str, wake: Callable[[], None]) -> None:
        """`own`: the payload by which this process knows its own commits."""
        self._connections, self._channel, self._own, self._wake = connections, channel, own, wake
        self._closed = threading.Event()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def close(self) -> None:
        """The thread ends soon."""
        self._closed.set()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with self._connections.connect() as connection:
                    connection.execute(f"LISTEN {self._channel}".encode())
                    self._wake()
                    while not self._closed.is_set():
                        for heard in connection.notifies(timeout=_LOOK_UP_SECONDS):
                            if heard.payload != self._own:
                                self._wake()
            except (psycopg.Error, RatchetError):
                # Followers look for themselves meanwhile, and they tell their callers what is wrong.
                self._closed.wait(_LOOK_UP_SECONDS)


_LOOK_UP_SECONDS = 1.0


class _Number(NumericBinaryLoader):
    """SUM of BIGINT is NUMERIC; it is read as an integer, as from SQLite."""

    def load(self, data: Any) -> Any:
        value = super().load(data)
        return int(value) if value == value.to_integral_value() else float(value)
