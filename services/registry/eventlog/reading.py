"""Reading the log: ranges, streams, filters, as-of reads.

Each batch is a short snapshot of its own, so a slow reader holds no resources; together they equal one long snapshot,
because events below the head never change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ratchet.errors import CorruptData, InvalidInput
from ratchet.transparency.merkle import Frontier, NodeGetter
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import Database, Reader, Row, SqlValue

BATCH_EVENTS = 500
BATCH_BYTES = 1024 * 1024

_RESTORE = "somebody wrote into the database: restore it from a backup"

BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filter:
    """Filter of events; the default admits all. Times are aware, from inclusive, to exclusive."""

    stream_prefixes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    actor: str = ""
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None

    def conditions(self) -> Iterator[tuple[str, tuple[SqlValue, ...]]]:
        """The conditions evaluated by the database."""
        if self.stream_prefixes:
            prefixes = " OR ".join("substr(originator_id, 1, ?) = ?" for _ in self.stream_prefixes)
            yield f"({prefixes})", tuple(value for prefix in self.stream_prefixes for value in (len(prefix), prefix))
        if self.topics:
            yield f"topic IN ({', '.join('?' * len(self.topics))})", self.topics

    def admits(self, event: RecordedEvent) -> bool:
        """The conditions on the envelope."""
        if self.actor and event.envelope.actor != self.actor:
            return False
        if self.recorded_from and event.recorded_at < self.recorded_from:
            return False
        return not (self.recorded_to and event.recorded_at >= self.recorded_to)


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Query:
    """A range of positions [start, stop], or one stream's versions (after_version, until_version]; 0 is open.

    `as_of` hides events after a position or a time.
    """

    start: int = 0
    stop: int = 0
    limit: int = 0
    descending: bool = False
    filter: Filter = EVERYTHING
    stream: str = ""
    after_version: int = 0
    until_version: int = 0
    as_of: int | datetime | None = None

    def check(self) -> None:
        """InvalidInput for numbers below 0."""
        for name in ("start", "stop", "limit", "after_version", "until_version"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"{name} is below 0; use 0 where it does not matter", fields={name: "below 0"})


ALL = Query()


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log; position 0 and BEGINNING for an empty log. `root` is the Merkle root of all events."""

    position: int
    recorded_at: datetime
    root: bytes


def head_position(reader: Reader) -> int:
    [row] = reader.rows("SELECT MAX(position) AS position FROM stored_events")
    return int(row["position"] or 0)


def stream_version(reader: Reader, stream: str) -> int:
    """The version of the stream's last event; 0 without any."""
    [row] = reader.rows(
        "SELECT MAX(originator_version) AS version FROM stored_events WHERE originator_id = ?", (stream,)
    )
    return int(row["version"] or 0)


def nodes(reader: Reader) -> NodeGetter:
    """The stored nodes of the Merkle tree; CorruptData for a missing one."""

    def node(level: int, index: int) -> bytes:
        for row in reader.rows("SELECT hash FROM merkle_nodes WHERE level = ? AND idx = ?", (level, index)):
            return bytes(row["hash"])
        raise CorruptData(f"the log has no Merkle node {index} of level {level}; restore its database from a backup")

    return node


def frontier(reader: Reader, size: int) -> Frontier:
    """The right edge of the Merkle tree over the first `size` events."""
    return Frontier.load(nodes(reader), size)


def head(reader: Reader) -> Head:
    position = head_position(reader)
    return Head(position, recorded_at(reader, position), frontier(reader, position).root())


def event_at(reader: Reader, position: int) -> RecordedEvent:
    for row in reader.rows("SELECT * FROM stored_events WHERE position = ?", (position,)):
        return _recorded(row)
    raise CorruptData(f"the log has no event at position {position}; restore its database from a backup")


def recorded_at(reader: Reader, position: int) -> datetime:
    return event_at(reader, position).recorded_at if position else BEGINNING


def position_at(reader: Reader, moment: datetime) -> int:
    """The last position recorded at `moment` or before; 0 if none. Times never decrease along the log."""
    low, high = 0, head_position(reader)
    while low < high:
        middle = (low + high + 1) // 2
        if recorded_at(reader, middle) <= moment:
            low = middle
        else:
            high = middle - 1
    return low


def page(reader: Reader, query: Query, low: int, high: int) -> tuple[list[RecordedEvent], int]:
    """The next batch of events of positions [low, high], and the last position read.

    An event larger than a batch comes alone, so that it still fits one message.
    """
    wanted = [("position >= ?", (low,)), ("position <= ?", (high,)), *query.filter.conditions()]
    if query.stream:
        wanted += [("originator_id = ?", (query.stream,)), ("originator_version > ?", (query.after_version,))]
        if query.until_version:
            wanted.append(("originator_version <= ?", (query.until_version,)))
    # Along one stream both orders are the same; by version, its index serves it.
    column = "originator_version" if query.stream else "position"
    rows = reader.rows(
        f"SELECT * FROM stored_events WHERE {' AND '.join(sql for sql, _ in wanted)}"
        f" ORDER BY {column} {'DESC' if query.descending else 'ASC'} LIMIT ?",
        (*(value for _, values in wanted for value in values), BATCH_EVENTS),
    )
    events: list[RecordedEvent] = []
    seen = size = reached = 0
    for row in rows:
        event = _recorded(row)
        seen, size = seen + 1, size + len(event.state)
        if seen > 1 and size > BATCH_BYTES:
            return events, reached
        if query.filter.admits(event):
            events.append(event)
        reached = event.position
        if seen == BATCH_EVENTS:
            return events, reached
    return events, low if query.descending else high


def events_between(reader: Reader, low: int, high: int) -> Iterator[RecordedEvent]:
    """All events of positions [low, high], from one snapshot."""
    while low <= high:
        events, reached = page(reader, ALL, low, high)
        yield from events
        low = reached + 1


def read(database: Database, query: Query) -> Iterator[list[RecordedEvent]]:
    """Batches of at most 500 events and 1 MiB, none of them empty. InvalidInput for an `as_of` after the head."""
    query.check()
    with database.read() as reader:
        low, high = _bounds(reader, query)
    left = query.limit
    while low <= high:
        with database.read() as reader:
            events, reached = page(reader, query, low, high)
        if query.limit:
            events = events[:left]
            left -= len(events)
        if events:
            yield events
        if query.limit and not left:
            return
        low, high = (low, reached - 1) if query.descending else (reached + 1, high)


def _bounds(reader: Reader, query: Query) -> tuple[int, int]:
    end = head_position(reader)
    low, high = max(query.start, 1), min(query.stop or end, end)
    if isinstance(query.as_of, datetime):
        high = min(high, position_at(reader, query.as_of))
    elif query.as_of is not None:
        if not 0 <= query.as_of <= end:
            raise InvalidInput(
                f"there is no position {query.as_of}; the log ends at {end}", fields={"as_of": "not in the log"}
            )
        high = min(high, query.as_of)
    return low, high


def _recorded(row: Row) -> RecordedEvent:
    position, stream, version = row["position"], row["originator_id"], row["originator_version"]
    topic, state = row["topic"], row["state"]
    if not (isinstance(stream, str) and isinstance(version, int) and isinstance(topic, str)):
        raise CorruptData(f"the names of the event at position {position} are of another type; {_RESTORE}")
    if not isinstance(state, bytes):
        raise CorruptData(f"the bytes of the event at position {position} are of another type; {_RESTORE}")
    return RecordedEvent(position, stream, version, topic, state)
