"""Subscriptions to the log: stored events first, then new ones, each exactly once and in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

from ratchet.errors import InvalidInput
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import Database
from services.registry.eventlog.reading import Filter, Query, head_position, page

POLL_SECONDS = 0.25


class Signal:
    """Wakes followers after a commit: of this process, and of others if the database notifies."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def send(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, seen: int, seconds: float) -> None:
        """Waits for a signal after the first `seen`, at most `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._count != seen, seconds)


def follow(
    database: Database, signal: Signal, after: int, event_filter: Filter, active: Callable[[], bool]
) -> Iterator[tuple[list[RecordedEvent], int]]:
    """Batches of events after a position, each with the position up to which the events are complete.

    Ends when `active`, checked at least every 250 ms, returns False; the same interval polls for commits of other
    processes without a notification. InvalidInput if the log has not reached `after` yet.
    """
    with database.read() as reader:
        end = head_position(reader)
    if not 0 <= after <= end:
        raise InvalidInput(f"can't follow after position {after}; the log ends at {end}", fields={"after": "not there"})
    query, position = Query(filter=event_filter), after
    while active():
        seen = signal.count
        with database.read() as reader:
            end = head_position(reader)
            events, reached = page(reader, query, position + 1, end) if end > position else ([], position)
        if reached > position:
            position = reached
            yield events, position
        else:
            signal.wait(seen, POLL_SECONDS)


class LogSubscription(Subscription[ApplicationRecorder]):
    """The library's iterator of notifications, over `follow`."""

    def __init__(
        self, recorder: ApplicationRecorder, database: Database, signal: Signal, after: int, event_filter: Filter
    ) -> None:
        super().__init__(recorder, after, event_filter.topics)
        self._signal = signal
        self._batches = follow(database, signal, after, event_filter, lambda: not self._has_been_stopped)
        self._buffer: deque[RecordedEvent] = deque()

    def stop(self) -> None:
        super().stop()
        self._signal.send()

    def __next__(self) -> Notification:
        while not self._buffer and not self._has_been_stopped:
            events, _ = next(self._batches)
            self._buffer.extend(events)
        if self._has_been_stopped:
            raise StopIteration
        return notification(self._buffer.popleft())


def notification(event: RecordedEvent) -> Notification:
    return Notification(
        id=event.position,
        originator_id=event.stream,
        originator_version=event.version,
        topic=event.topic,
        state=event.state,
    )
