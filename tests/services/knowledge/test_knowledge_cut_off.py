"""Knowledge that lost the log knows it, and says so to those who ask for what it can't have read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from eventsourcing.persistence import StoredEvent

from ratchet.errors import DeadlinePassed, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.events.v1 import envelope_pb2, facts_pb2
from services.knowledge.projection.follower import KnowledgeProjection, LogFollower
from services.local import ports
from services.platform.log_client import LogClient
from services.platform.server import Server
from services.registry.eventlog import open_log
from services.registry.eventlog.service import NAME, EventLogService
from tests.support.waiting import until


def test_a_position_that_does_not_come_is_late_while_the_log_answers_and_unreachable_while_it_does_not() -> None:
    projection = KnowledgeProjection("the registry")
    projection.complete()
    with pytest.raises(DeadlinePassed, match="position 0 and 7 did not come"):
        projection.wait(7, seconds=0.01)
    projection.disconnected = True
    with pytest.raises(Unreachable, match="up to position 0, and the registry does not answer: position 7") as raised:
        projection.wait(7, seconds=0.01)
    assert not isinstance(raised.value, DeadlinePassed)
    assert projection.wait(0, seconds=0.01).position == 0


@contextmanager
def log_served(folder: Path, port: int) -> Iterator[None]:
    log = open_log(f"sqlite://{folder / 'log.sqlite'}", (), lambda: datetime.now(UTC))
    server = Server("127.0.0.1", port)
    server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, EventLogService(log), NAME)
    server.start()
    yield
    server.stop(0)
    log.close()


@contextmanager
def following(client: LogClient) -> Iterator[KnowledgeProjection]:
    projection = KnowledgeProjection(client.peer)
    follower = LogFollower(client, projection)
    follower.start()
    yield projection
    follower.close()


def test_a_follower_whom_nobody_answers_has_its_book_cut_off_until_somebody_does(tmp_path: Path) -> None:
    [port, *_] = ports.choose(0)
    client = LogClient(f"127.0.0.1:{port}", "tester")
    with following(client) as projection:
        assert until(lambda: projection.disconnected)
        with log_served(tmp_path, port):
            assert until(lambda: not projection.disconnected)
    client.close()


def test_garbage_is_collected_again_once_the_log_has_been_read(tmp_path: Path) -> None:
    [port, *_] = ports.choose(0)
    client = LogClient(f"127.0.0.1:{port}", "tester")
    ranked = facts_pb2.FeaturesRanked(lineage="AAPL/range/logistic", session_id="s1")
    state = envelope_pb2.Envelope(payload=ranked.SerializeToString()).SerializeToString()
    topic = ranked.DESCRIPTOR.full_name
    with log_served(tmp_path, port):
        client.insert_events([StoredEvent("features/AAPL/range/logistic", 1, topic, state)], request_id="r1")
        with following(client) as projection:
            assert projection.wait(1, seconds=20.0).position == 1
            assert until(gc.isenabled)
    client.close()
