"""Read tables are what the log says, whenever they are built."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY

import pytest

from ratchet.errors import Conflict
from services.registry.eventlog import Log, RebuildResult, RecordedEvent, Statement, Table
from services.registry.eventlog.database import Database
from tests.support.log_samples import STREAMS, append, fact, make_log

BUSIEST = Table(
    name="busiest",
    create="CREATE TABLE {busiest} (position BIGINT PRIMARY KEY, most BIGINT)",
    indexes=(),
    project=lambda recorded: [
        Statement("INSERT INTO {busiest} SELECT ?, MAX(events) FROM {streams}", (recorded.position,))
    ],
)


def fill(log: Log, count: int = 1300) -> None:
    for start in range(0, count, 100):
        log.commit(append(f"r{start}", *[fact(f"session/{i % 7}", i // 7 + 1) for i in range(start, start + 100)]))


def test_a_rebuilt_table_is_identical(open_database: Callable[[], Database]) -> None:
    log = make_log(open_database(), [STREAMS, BUSIEST])
    fill(log)
    assert log.rebuild() == [RebuildResult("streams", 7, True), RebuildResult("busiest", 1300, True)]
    with log.database.read() as reader:
        assert reader.columns("streams") == {"stream": ANY, "events": ANY, "last_position": ANY, "lineage": ANY}
        assert reader.columns("streams_rebuilt") == {}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE streams SET events = events + 1 WHERE stream = 'session/3'",
        "DELETE FROM streams WHERE stream = 'session/3'",
        "INSERT INTO streams VALUES ('session/none', 1, 1, 'x')",
        "ALTER TABLE streams ADD COLUMN extra BIGINT",
        "ALTER TABLE streams RENAME COLUMN events TO number",
    ],
)
def test_a_damaged_table_is_found_and_replaced(open_database: Callable[[], Database], damage: str) -> None:
    database = open_database()
    log = make_log(database)
    fill(log)
    before = log.query("SELECT * FROM streams ORDER BY stream")
    with database.write() as writer:
        writer.execute(damage)
    assert log.rebuild() == [RebuildResult("streams", 7, False)]
    assert log.query("SELECT * FROM streams ORDER BY stream") == before
    assert log.rebuild() == [RebuildResult("streams", 7, True)]
    log.commit(append("after", fact("session/new", 1)))
    assert log.query("SELECT events FROM streams WHERE stream = 'session/new'") == [{"events": 1}]


def test_a_lost_table_is_built_again(open_database: Callable[[], Database]) -> None:
    database = open_database()
    log = make_log(database)
    fill(log)
    for recover in (log.rebuild, lambda: make_log(open_database())):
        with database.write() as writer:
            writer.execute("DROP TABLE streams")
        recover()
        assert log.query("SELECT COUNT(*) AS n FROM streams") == [{"n": 7}]


def test_what_is_appended_during_a_rebuild_is_in_it(open_database: Callable[[], Database]) -> None:
    database = open_database()
    log = make_log(database)
    fill(log)
    with database.write() as writer:
        writer.execute("DELETE FROM streams")
    stop = threading.Event()

    def write() -> int:
        number = 0
        while not stop.is_set() or number < 20:
            number += 1
            log.commit(append(f"more{number}", fact("session/more", number)))
        return number

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        assert [table.identical for table in log.rebuild()] == [False]
        stop.set()
        count = written.result(30)
    assert log.query("SELECT events FROM streams WHERE stream = 'session/more'") == [{"events": count}]
    assert [table.identical for table in log.rebuild()] == [True]


def test_a_new_or_redefined_table_is_filled_when_the_log_opens(open_database: Callable[[], Database]) -> None:
    fill(make_log(open_database()))
    log = make_log(open_database(), [STREAMS, BUSIEST])
    assert log.query("SELECT COUNT(*) AS n FROM busiest") == [{"n": 1300}]
    wider = dataclasses.replace(
        STREAMS,
        create="CREATE TABLE {streams} (stream TEXT PRIMARY KEY, extra BIGINT)",
        indexes=(),
        project=lambda recorded: [
            Statement("INSERT INTO {streams} (stream, extra) VALUES (?, 7) ON CONFLICT DO NOTHING", (recorded.stream,))
        ],
    )
    log = make_log(open_database(), [wider])
    assert log.query("SELECT COUNT(*) AS n, MIN(extra) AS extra FROM streams") == [{"n": 7, "extra": 7}]


def test_one_rebuild_at_a_time(open_database: Callable[[], Database]) -> None:
    filled, inside, go_on = threading.Event(), threading.Event(), threading.Event()

    def slow(recorded: RecordedEvent) -> Iterable[Statement]:
        if filled.is_set():
            inside.set()
            assert go_on.wait(30)
        return ()

    table = Table("slow", "CREATE TABLE {slow} (position BIGINT)", (), slow)
    log = make_log(open_database(), [table])
    log.commit(append("r1", fact("session/1", 1)))
    filled.set()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(log.rebuild)
        try:
            assert inside.wait(30)
            with pytest.raises(Conflict):
                log.rebuild()
        finally:
            go_on.set()
        assert [table.identical for table in running.result(30)] == [True]
