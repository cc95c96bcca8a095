"""The log client against a real log, served over gRPC from a real file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from eventsourcing.application import AggregateNotFoundError
from eventsourcing.persistence import JSONTranscoder, Notification

from ratchet.errors import AlreadyExists, InvalidInput, NotBuilt, StreamConflict, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.events.v1 import facts_pb2, model_pb2
from services.platform.facts import Fact, FactMapper, from_state
from services.platform.log_client import LogClient, RemoteApplication
from services.platform.server import Server
from services.registry.eventlog import Log, open_log
from services.registry.eventlog.service import NAME, EventLogService

LINEAGE = "AAPL/range/random-forest"
OTHER = "AAPL/range/logistic"
MAPPER = FactMapper(transcoder=JSONTranscoder())


@dataclass(frozen=True)
class Served:
    log: Log
    client: LogClient


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    log = open_log(f"sqlite://{tmp_path / 'log.sqlite'}", (), lambda: datetime.now(UTC))
    server = Server("127.0.0.1", 0)
    server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, EventLogService(log), NAME)
    server.start()
    client = LogClient(f"127.0.0.1:{server.port}", "tester")
    yield Served(log, client)
    client.close()
    log.close()
    server.stop(0.0)


def ranked(version: int, lineage: str = LINEAGE, feature: str = "rsi_14") -> Fact:
    message = facts_pb2.FeaturesRanked(
        lineage=lineage, session_id=f"s{version}", features=[model_pb2.RankedFeature(name=feature, rank=1)]
    )
    return Fact(f"features/{lineage}", version, message, causation_id=f"s{version}")


def append(client: LogClient, *facts: Fact, request_id: str = "") -> list[int]:
    stored = [MAPPER.to_stored_event(fact) for fact in facts]
    return list(client.insert_events(stored, request_id=request_id or f"r-{facts[0].stream}-{facts[0].version}"))


def versions(client: LogClient, **bounds: int | bool) -> list[int]:
    return [event.originator_version for event in client.select_events(f"features/{LINEAGE}", **bounds)]  # type: ignore[arg-type]


def test_what_is_appended_is_read_back_with_its_envelope(served: Served) -> None:
    fact = ranked(1)
    stored = [MAPPER.to_stored_event(fact)]
    assert served.client.insert_events(stored, request_id="r1", correlation_id="s1", actor="ann") == [1]
    [event] = served.client.select_events(fact.stream)
    back = from_state(str(event.originator_id), event.originator_version, event.topic, event.state)
    assert (back.message, back.causation_id) == (fact.message, "s1")
    assert (back.actor, back.request_id, back.correlation_id) == ("ann", "r1", "s1")
    assert back.recorded_at is not None


def test_without_another_name_facts_are_the_clients(served: Served) -> None:
    append(served.client, ranked(1))
    [event] = served.client.select_events(f"features/{LINEAGE}")
    assert from_state("", 1, event.topic, event.state).actor == "tester"


def test_a_stream_is_read_by_versions(served: Served) -> None:
    append(served.client, *(ranked(version) for version in range(1, 8)))
    assert versions(served.client) == [1, 2, 3, 4, 5, 6, 7]
    assert versions(served.client, gt=2, lte=5) == [3, 4, 5]
    assert versions(served.client, desc=True, limit=2) == [7, 6]
    assert versions(served.client, lte=0) == []


def test_notifications_are_read_by_positions(served: Served) -> None:
    assert served.client.max_notification_id() is None
    append(served.client, *(ranked(version) for version in range(1, 8)))
    read = served.client.select_notifications
    assert served.client.max_notification_id() == 7
    assert [found.id for found in read(start=3, limit=2)] == [3, 4]
    assert [found.id for found in read(start=3, limit=10, stop=5, inclusive_of_start=False)] == [4, 5]
    assert [found.id for found in read(start=None, limit=10, topics=["ratchet.events.v1.FeaturesRanked"])][-1] == 7
    assert read(start=None, limit=10, topics=["ratchet.events.v1.ModelTrained"]) == []


def test_the_same_request_gets_the_first_answer_and_another_one_is_refused(served: Served) -> None:
    assert append(served.client, ranked(1), request_id="r") == [1]
    assert append(served.client, ranked(1), request_id="r") == [1]
    with pytest.raises(AlreadyExists):
        append(served.client, ranked(1, feature="adx_14"), request_id="r")
    assert served.client.max_notification_id() == 1


def test_a_stream_that_moved_is_named(served: Served) -> None:
    append(served.client, ranked(1))
    with pytest.raises(StreamConflict) as caught:
        append(served.client, ranked(1, feature="adx_14"), request_id="late")
    assert caught.value.metadata["stream"] == f"features/{LINEAGE}"
    with pytest.raises(InvalidInput):
        served.client.insert_events([MAPPER.to_stored_event(ranked(2))])


def test_a_subscription_yields_what_is_there_and_what_comes_until_it_is_stopped(served: Served) -> None:
    append(served.client, ranked(1), ranked(2))
    seen: list[Notification] = []
    enough = threading.Event()
    subscription = served.client.subscribe(gt=1)

    def watch() -> None:
        for found in subscription:
            seen.append(found)
            if len(seen) == 3:
                enough.set()

    watcher = threading.Thread(target=watch)
    with subscription:
        watcher.start()
        append(served.client, ranked(3), ranked(4))
        assert enough.wait(20)
    watcher.join(20)
    assert not watcher.is_alive()
    assert [found.id for found in seen] == [2, 3, 4]


def test_following_brings_batches_of_some_streams_and_says_how_far_it_has_come(served: Served) -> None:
    append(served.client, *(ranked(version) for version in range(1, 701)))
    append(served.client, ranked(1, OTHER))
    following = served.client.follow(0, [f"features/{OTHER}"])
    met: list[tuple[int, str]] = []
    for batch, position in following:
        met += [(at, fact.stream) for at, fact in batch]
        if position == 701:
            following.cancel()
    assert met == [(701, f"features/{OTHER}")]
    everything = served.client.follow(0)
    first, _ = next(everything)
    everything.cancel()
    assert 1 < len(first) <= 500


def test_a_failed_subscription_raises_the_logs_own_error(served: Served) -> None:
    with pytest.raises(InvalidInput, match="the log ends at 0"):
        next(served.client.follow(5))


def test_an_application_loads_and_saves_over_it(served: Served) -> None:
    def names(state: list[str] | None, facts: Iterator[Fact]) -> list[str] | None:
        return [*(state or []), *(fact.message.session_id for fact in facts)] or None  # type: ignore[attr-defined]

    application = RemoteApplication(served.client)
    recordings = application.events.put([ranked(1), ranked(2)], request_id="r")
    assert [recording.notification.id for recording in recordings] == [1, 2]
    stream = f"features/{LINEAGE}"
    assert application.repository.get(stream, projector_func=names) == ["s1", "s2"]  # type: ignore[arg-type, type-var]
    with pytest.raises(AggregateNotFoundError):
        application.repository.get(f"features/{OTHER}", projector_func=names)  # type: ignore[arg-type, type-var]
    with pytest.raises(NotBuilt):
        application.factory.tracking_recorder()


def test_a_registry_that_does_not_answer_is_named() -> None:
    client = LogClient("127.0.0.1:1", "tester")
    with pytest.raises(Unreachable, match=r"registry at 127\.0\.0\.1:1 does not answer"):
        client.head()
    client.close()
