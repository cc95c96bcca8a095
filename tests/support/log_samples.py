"""What the tests of the log share: facts, origins, clocks, a small read table, and the databases that they run on."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ratchet.events.v1 import facts_pb2
from ratchet.transparency import merkle
from services.platform.facts import Fact
from services.registry.eventlog import Append, Log, Origin, RecordedEvent, Statement, Table
from services.registry.eventlog.commit import leaf
from services.registry.eventlog.database import Database
from services.registry.eventlog.postgres import PostgresDatabase
from services.registry.eventlog.sqlite import SQLiteDatabase

DATABASES: dict[str, Callable[[str], Database]] = {
    "sqlite": lambda url: SQLiteDatabase(Path(url.removeprefix("sqlite://"))),
    "postgresql": PostgresDatabase,
}

START = datetime(2020, 3, 3, 12, tzinfo=UTC)


class SteppingClock:
    """One second later with each look; `step_back` makes it go wrong."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def step_back(self, seconds: float) -> None:
        self.now -= timedelta(seconds=seconds)


def fact(stream: str, version: int, lineage: str = "AAPL/range/logistic") -> Fact:
    return Fact(stream, version, facts_pb2.TrainingRequested(session_id=stream, lineage=lineage))


def append(request_id: str, *facts: Fact, fingerprint: bytes = b"same", actor: str = "ann") -> Append:
    return Append(Origin(request_id, fingerprint, actor, "run"), facts)


def _count(recorded: RecordedEvent) -> Iterable[Statement]:
    yield Statement(
        "INSERT INTO {streams} (stream, events, last_position, lineage) VALUES (?, 1, ?, ?) ON CONFLICT (stream)"
        " DO UPDATE SET events = {streams}.events + 1, last_position = excluded.last_position",
        (recorded.stream, recorded.position, getattr(recorded.fact.message, "lineage", "")),
    )


STREAMS = Table(
    name="streams",
    create="CREATE TABLE {streams} (stream TEXT PRIMARY KEY, events BIGINT, last_position BIGINT, lineage TEXT)",
    indexes=("CREATE INDEX {streams}_by_lineage ON {streams} (lineage)",),
    project=_count,
)


def make_log(
    database: Database, tables: Sequence[Table] = (STREAMS,), clock: Callable[[], datetime] | None = None
) -> Log:
    return Log(database, tables, clock or SteppingClock(), lambda: uuid.uuid4().hex)


def everything(log: Log) -> list[RecordedEvent]:
    return list(itertools.chain.from_iterable(log.read()))


def assert_sound(log: Log) -> list[RecordedEvent]:
    """Positions are dense, versions too, times never decrease, and the Merkle nodes are those of the events."""
    events = everything(log)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    versions: dict[str, int] = {}
    for recorded in events:
        assert recorded.version == versions.get(recorded.stream, 0) + 1
        versions[recorded.stream] = recorded.version
    times = [recorded.recorded_at for recorded in events]
    assert times == sorted(times)
    tree = merkle.Frontier()
    nodes = {(level, index): node for e in events for level, index, node in tree.append(leaf(e))}
    stored = log.query("SELECT level, idx, hash FROM merkle_nodes")
    assert {(row["level"], row["idx"]): row["hash"] for row in stored} == nodes
    assert log.head().root == tree.root() == merkle.root([leaf(e) for e in events])
    assert log.head().position == len(events)
    return events
