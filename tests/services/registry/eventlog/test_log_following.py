"""Following sees every event once and in order, whoever commits it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ratchet.errors import InvalidInput
from services.registry.eventlog import Filter, Log
from services.registry.eventlog.database import Database
from tests.support.log_samples import append, fact, make_log


def test_every_event_comes_once_under_concurrent_writers(open_database: Callable[[], Database]) -> None:
    """Four writers, two of them over another connection as another process would; three followers, one of them late."""
    here, elsewhere = make_log(open_database()), make_log(open_database())
    writers, appends = 4, 40
    total = writers * appends * 2

    def write(writer: int) -> None:
        log = (here, elsewhere)[writer % 2]
        for number in range(appends):
            stream = f"session/{writer}"
            log.commit(append(f"{writer}-{number}", fact(stream, 2 * number + 1), fact(stream, 2 * number + 2)))

    def watch(after: int) -> list[int]:
        seen: list[int] = []
        for events, position in here.follow(after):
            assert len(events) <= 500
            seen += [recorded.position for recorded in events]
            assert position == seen[-1]
            if position >= total:
                break
        return seen

    with ThreadPoolExecutor(8) as pool:
        early = [pool.submit(watch, 0) for _ in range(2)]
        list(pool.map(write, range(writers)))
        late = pool.submit(watch, 100)
    assert [future.result() for future in early] == [list(range(1, total + 1))] * 2
    assert late.result() == list(range(101, total + 1))


def test_a_long_history_comes_in_batches(log: Log) -> None:
    log.commit(append("r1", *[fact("session/1", version) for version in range(1, 1202)]))
    batches = log.follow(0)
    assert [(len(events), position) for events, position in (next(batches) for _ in range(3))] == [
        (500, 500),
        (500, 1000),
        (201, 1201),
    ]


def test_what_is_filtered_out_still_moves_the_position(log: Log) -> None:
    log.commit(append("r1", fact("lineage/a", 1), fact("session/1", 1), fact("session/2", 1)))
    batches = log.follow(0, Filter(stream_prefixes=("lineage/",)))
    events, position = next(batches)
    assert ([recorded.stream for recorded in events], position) == (["lineage/a"], 3)
    log.commit(append("r2", fact("session/1", 2)))
    assert next(batches) == ([], 4)


def test_a_follower_wakes_when_something_is_committed(log: Log) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, log.follow(0))
        log.commit(append("r1", fact("session/1", 1)))
        events, _ = first.result(30)
    assert [recorded.position for recorded in events] == [1]


def test_following_ends_when_its_reader_left_or_the_log_closes(log: Log) -> None:
    left = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(list, log.follow(0, active=lambda: not left.is_set())), pool.submit(list, log.follow(0))]
        left.set()
        assert ends[0].result(30) == []
        log.close()
        assert ends[1].result(30) == []


@pytest.mark.parametrize("after", [-1, 2])
def test_a_position_that_is_not_in_the_log_is_refused(log: Log, after: int) -> None:
    log.commit(append("r1", fact("session/1", 1)))
    with pytest.raises(InvalidInput, match="the log ends at 1"):
        next(log.follow(after))
