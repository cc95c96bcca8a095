"""The log as an eventsourcing application: states by projector functions, recordings, subscriptions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from eventsourcing.application import AggregateNotFoundError

from ratchet.errors import InvalidInput, StreamConflict
from services.platform.facts import Fact
from services.registry.eventlog import Log, LogApplication, Origin
from tests.support.log_samples import append, fact


@dataclass(frozen=True)
class Session:
    version: int
    lineages: tuple[str, ...]


def project(state: Any, facts: Iterable[Fact]) -> Any:
    for each in facts:
        before = state.lineages if state else ()
        state = Session(each.version, (*before, each.message.lineage))  # type: ignore[attr-defined]
    return state


@pytest.fixture
def application(log: Log) -> Iterator[LogApplication]:
    with LogApplication(log) as application:
        yield application


def origin(request_id: str) -> Origin:
    return Origin(request_id, b"same", "ann")


def test_a_state_is_loaded_from_its_facts(application: LogApplication) -> None:
    application.append([fact("session/1", 1, "a"), fact("session/2", 1, "x")], origin("r1"))
    application.append([fact("session/1", 2, "b")], origin("r2"))
    assert application.repository.get("session/1", projector_func=project) == Session(2, ("a", "b"))
    assert application.repository.get("session/1", version=1, projector_func=project) == Session(1, ("a",))
    with pytest.raises(AggregateNotFoundError):
        application.repository.get("session/none", projector_func=project)


def test_the_library_s_own_way_of_saving_goes_through_the_commit(application: LogApplication) -> None:
    facts = [fact("session/1", 1), fact("session/1", 2)]
    recordings = application.events.put(facts, origin=origin("r1"))
    assert [recording.notification.id for recording in recordings] == [1, 2]
    assert len(application.events.put(facts, origin=origin("r1"))) == 2
    with pytest.raises(StreamConflict):
        application.events.put([fact("session/1", 2)], origin=origin("r2"))
    with pytest.raises(InvalidInput, match="Origin"):
        application.events.put([fact("session/1", 3)])
    assert application.recorder.max_notification_id() == 2


def test_a_replay_with_other_facts_gives_no_recordings(application: LogApplication) -> None:
    application.append([fact("session/1", 1), fact("session/1", 2)], origin("r1"))
    assert application.events.put([fact("session/1", 3)], origin=origin("r1")) == []


def test_facts_that_were_stored_come_back_complete(application: LogApplication) -> None:
    application.append([fact("session/1", 1)], Origin("r1", b"same", "ann", "run"))
    [found] = application.events.get("session/1")
    assert isinstance(found, Fact)
    assert (found.actor, found.request_id, found.correlation_id) == ("ann", "r1", "run")
    assert found.event_id
    assert found.recorded_at


def test_notifications_are_selected_by_position_and_topic(log: Log) -> None:
    log.commit(append("r1", *[fact("session/1", version) for version in range(1, 1101)]))
    select: Callable[..., list[object]] = log.recorder.select_notifications  # type: ignore[assignment]
    assert [n.id for n in select(3, 4)] == [3, 4, 5, 6]  # type: ignore[attr-defined]
    assert [n.id for n in select(3, 4, 5, inclusive_of_start=False)] == [4, 5]  # type: ignore[attr-defined]
    assert len(select(None, 1090)) == 1090
    assert select(None, 10, topics=["none"]) == select(None, 10, 0) == []


def test_the_recorder_is_subscribed_to_and_stopped(log: Log) -> None:
    log.commit(append("r1", fact("session/1", 1), fact("session/1", 2)))
    seen: list[int] = []
    three = threading.Event()
    with log.recorder.subscribe(gt=1) as subscription, ThreadPoolExecutor(1) as pool:

        def watch() -> None:
            for notification in subscription:
                seen.append(notification.id)
                if len(seen) == 2:
                    three.set()

        running = pool.submit(watch)
        log.commit(append("r2", fact("session/1", 3)))
        assert three.wait(30)
        subscription.stop()
        running.result(30)
    assert seen == [2, 3]
