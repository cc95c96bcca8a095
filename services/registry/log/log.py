"""The log as the registry uses it: one object that appends, reads, follows, queries and rebuilds."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from eventsourcing.persistence import ApplicationRecorder

from ratchet.errors import Conflict, InvalidInput, NotBuilt
from services.registry.log.append import Append, Committed, Origin, Recorded
from services.registry.log.commit import Commit
from services.registry.log.database import Database, SqlValue
from services.registry.log.reading import ALL, EVERYTHING, Filter, Head, Query, head, read
from services.registry.log.rebuild import Rebuilt, prepare, rebuild
from services.registry.log.sqlite import SQLiteDatabase
from services.registry.log.subscription import Signal, follow
from services.registry.log.tables import Table


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
        self._rebuilding = threading.Lock()
        self._open = True
        prepare(database, tables)
        self.recorder: ApplicationRecorder = database.recorder(self._commit, self._signal)

    def commit(self, append: Append) -> Committed:
        """Append all events or none; see `Commit`."""
        return self._commit(append)

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
            return [dict(row) for row in reader.rows(sql, params)]

    def rebuild(self) -> list[Rebuilt]:
        """Build the read tables anew from position 0; Conflict while another rebuild runs."""
        if not self._rebuilding.acquire(blocking=False):
            raise Conflict("the read tables are being rebuilt already; wait for that to end")
        try:
            return rebuild(self.database, self._tables)
        finally:
            self._rebuilding.release()

    def release(self) -> None:
        """End all followers: a server that stops need not wait for its subscribers."""
        self._open = False
        self._signal.send()

    def close(self) -> None:
        """End the followers, wait for what runs, close the database."""
        self.release()
        self.database.close()


def open_log(
    url: str,
    tables: Sequence[Table],
    clock: Callable[[], datetime],
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Log:
    """The log at `sqlite:///abs/path`; the file and its folder are made when missing. InvalidInput for another url."""
    scheme, _, path = url.partition("://")
    if scheme == "postgresql":
        raise NotBuilt("a log in PostgreSQL is not served yet; use sqlite:////abs/path")
    if scheme != "sqlite" or not path.startswith("/") or not path.strip("/"):
        raise InvalidInput(f"{url!r} is not a log; write sqlite:////abs/path", fields={"log": "not a url of a log"})
    return Log(SQLiteDatabase(Path("/" + path.lstrip("/"))), tables, clock, new_id)
