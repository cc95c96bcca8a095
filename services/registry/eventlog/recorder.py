"""The eventsourcing library's recorder over the log, independent of its database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import ApplicationRecorder, Notification, StoredEvent

from ratchet.errors import InvalidInput
from services.platform.facts import from_state
from services.registry.eventlog.append import Append, CommitResult, Origin
from services.registry.eventlog.database import Database, SqlValue
from services.registry.eventlog.reading import Filter, Query, head_position, read
from services.registry.eventlog.subscription import LogSubscription, Signal, notification


class LogRecorder(ApplicationRecorder):
    """Reads the log's own tables; inserts go through the one commit function."""

    def __init__(self, database: Database, commit: Callable[[Append], CommitResult], signal: Signal) -> None:
        super().__init__()
        self._database, self._commit, self._signal = database, commit, signal

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Appends all, as one request: `origin=Origin(…)`.

        Returns positions; None if a replayed answer has other events.
        """
        origin = kwargs.get("origin")
        if not isinstance(origin, Origin):
            raise InvalidInput(
                "events enter the log with an origin; pass origin=Origin(…)", fields={"origin": "missing"}
            )
        facts = (from_state(str(s.originator_id), s.originator_version, s.topic, s.state) for s in stored_events)
        positions = self._commit(Append(origin, tuple(facts))).positions
        return positions if len(positions) == len(stored_events) else None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        sql, params = _OF_STREAM, list[SqlValue]([str(originator_id)])
        for part, value in ((" AND originator_version > ?", gt), (" AND originator_version <= ?", lte)):
            if value is not None:
                sql, params = sql + part, [*params, value]
        sql += f" ORDER BY originator_version {'DESC' if desc else 'ASC'}"
        if limit is not None:
            sql, params = f"{sql} LIMIT ?", [*params, limit]
        with self._database.read() as reader:
            return [StoredEvent(*row.values()) for row in reader.rows(sql, params)]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> list[Notification]:
        if stop is not None and stop <= 0:
            return []
        first = (start or 0) + (0 if inclusive_of_start else 1)
        query = Query(start=first, stop=stop or 0, limit=limit, filter=Filter(topics=tuple(topics)))
        return [notification(event) for batch in read(self._database, query) for event in batch]

    def max_notification_id(self) -> int | None:
        with self._database.read() as reader:
            return head_position(reader) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> LogSubscription:
        return LogSubscription(self, self._database, self._signal, gt or 0, Filter(topics=tuple(topics)))


_OF_STREAM = "SELECT originator_id, originator_version, topic, state FROM stored_events WHERE originator_id = ?"
