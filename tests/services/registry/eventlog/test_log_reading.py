"""Reading agrees with picking from the whole log by hand, and never holds more than a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from services.registry.eventlog import Filter, Log, Query, RecordedEvent
from services.registry.eventlog.database import Database
from services.registry.eventlog.reading import position_at
from tests.support.log_samples import DATABASES, START, append, everything, fact, make_log

SIZE = 1230
STREAMS = ("session/1", "session/2", "session/22", "lineage/a", "über/1")
ACTORS = ("ann", "bob")


@pytest.fixture(scope="module", params=list(DATABASES))
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    if request.param == "sqlite":
        url = f"sqlite://{tmp_path_factory.mktemp('log')}/log.sqlite"
    else:
        url = request.getfixturevalue("postgres").fresh()
    log = make_log(DATABASES[request.param](url))
    versions = dict.fromkeys(STREAMS, 0)
    for number in range(SIZE // 10):
        events = []
        for step in range(10):
            stream = STREAMS[(number * 7 + step * step) % len(STREAMS)]
            versions[stream] += 1
            events.append(fact(stream, versions[stream]))
        log.commit(append(f"r{number}", *events, actor=ACTORS[number % 2]))
    yield log
    log.close()


times = st.integers(-2, SIZE // 10 + 2).map(lambda seconds: START + timedelta(seconds=seconds))
positions = st.integers(0, SIZE + 5)
filters = st.builds(
    Filter,
    stream_prefixes=st.lists(st.sampled_from(["session/", "session/2", "lineage/", "ü", "none", "%"]), max_size=2).map(
        tuple
    ),
    topics=st.sampled_from([(), (fact("s", 1).topic,), ("none",), ("none", fact("s", 1).topic)]),
    actor=st.sampled_from(["", "ann", "nobody"]),
    recorded_from=st.none() | times,
    recorded_to=st.none() | times,
)
queries = st.builds(
    Query,
    start=positions,
    stop=positions,
    limit=st.sampled_from([0, 0, 1, 499, 500, 501, 900]),
    descending=st.booleans(),
    filter=st.just(Filter()) | filters,
    stream=st.sampled_from(["", "", "session/2", "none"]),
    after_version=st.integers(0, 200),
    until_version=st.sampled_from([0, 0, 100]),
    as_of=st.none() | st.integers(0, SIZE) | times,
)


def by_hand(events: list[RecordedEvent], query: Query) -> list[RecordedEvent]:
    wanted = query.filter

    def matches(e: RecordedEvent) -> bool:
        if isinstance(query.as_of, datetime):
            visible = e.recorded_at <= query.as_of
        else:
            visible = query.as_of is None or e.position <= query.as_of
        in_stream = not query.stream or (
            e.stream == query.stream
            and e.version > query.after_version
            and (not query.until_version or e.version <= query.until_version)
        )
        return (
            visible
            and in_stream
            and e.position >= query.start
            and (not query.stop or e.position <= query.stop)
            and (not wanted.stream_prefixes or e.stream.startswith(wanted.stream_prefixes))
            and (not wanted.topics or e.topic in wanted.topics)
            and (not wanted.actor or e.fact.actor == wanted.actor)
            and (wanted.recorded_from is None or e.recorded_at >= wanted.recorded_from)
            and (wanted.recorded_to is None or e.recorded_at < wanted.recorded_to)
        )

    chosen = [e for e in (reversed(events) if query.descending else events) if matches(e)]
    return chosen[: query.limit] if query.limit else chosen


@settings(max_examples=150, deadline=None)
@given(query=queries)
def test_a_query_gives_what_picking_by_hand_gives(full: Log, query: Query) -> None:
    batches = list(full.read(query))
    assert [e for batch in batches for e in batch] == by_hand(everything(full), query)
    assert all(1 <= len(batch) <= 500 for batch in batches)


@given(moment=times)
@settings(max_examples=30, deadline=None)
def test_a_time_names_the_last_position_recorded_by_then(full: Log, moment: datetime) -> None:
    with full.database.read() as reader:
        assert position_at(reader, moment) == sum(e.recorded_at <= moment for e in everything(full))


@pytest.mark.parametrize(
    "query", [Query(start=-1), Query(stop=-1), Query(limit=-1), Query(after_version=-1), Query(as_of=SIZE + 1)]
)
def test_what_can_not_be_is_refused(full: Log, query: Query) -> None:
    with pytest.raises(InvalidInput):
        list(full.read(query))


def test_batches_are_bounded_by_bytes(open_database: Callable[[], Database]) -> None:
    log = make_log(open_database(), tables=())
    large = [fact("session/1", version, lineage="x" * 300_000) for version in range(1, 11)]
    log.commit(append("r1", *large))
    sizes = [len(batch) for batch in log.read()]
    assert sizes == [3, 3, 3, 1]
    assert [e.version for batch in log.read(Query(descending=True)) for e in batch] == list(range(10, 0, -1))


def test_an_empty_log_reads_as_empty(log: Log) -> None:
    assert list(log.read()) == []
    assert (log.head().position, len(log.head().root)) == (0, 32)


def test_a_reader_that_stops_half_way_holds_nothing(log: Log, tmp_path: Path) -> None:
    log.commit(append("r1", *[fact("session/1", version) for version in range(1, 1001)]))
    half = log.read()
    next(half)
    log.commit(append("r2", fact("session/1", 1001)))
    assert [e.position for batch in half for e in batch] == list(range(501, 1001))
