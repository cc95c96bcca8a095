"""The write side on a real log: many writers, stale contents, and what is repeated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eventsourcing.persistence import StoredEvent

from ratchet.errors import AlreadyExists, PreconditionFailed
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import MODEL_TYPES
from services.knowledge.domain import pattern_views
from services.knowledge.domain.rules import State
from services.knowledge.handlers.application import Attribution, Knowledge
from services.knowledge.projection.state import KnowledgeState, fold
from services.platform.facts import from_state
from services.platform.log_client import LogClient
from tests.support.knowledge_services import World
from tests.support.planted_rule import FOREST, LOGISTIC, SERIES, TASK, Truth, narrowed, pattern, session

ANN = Attribution("ann", "c1")
EMPTY = KnowledgeState()
TRUTH = Truth.drawn(1)
TWIN = replace(TRUTH, fired=TRUTH.fired & (np.arange(len(TRUTH.fired)) % 20 > 0))


@pytest.fixture
def log(world: World) -> World:
    world.start_log()
    return world


def brings(
    session_id: str, definition: pattern_pb2.Pattern, truth: Truth = TRUTH, lineage: str = FOREST
) -> knowledge_pb2.RecordEvidenceRequest:
    evidence = truth.evidence((0, 600))
    piece = knowledge_pb2.TestedPattern(pattern=definition, evidence=evidence, p_value=0.001, passed=True)
    return session(session_id, piece, lineage=lineage)


def read(world: World) -> KnowledgeState:
    """Everything in the log, from the beginning."""
    client = world.client()
    head = client.head()
    events = client.select_notifications(1, head) if head else []
    return fold(
        KnowledgeState(),
        [(e.id, from_state(str(e.originator_id), e.originator_version, e.topic, e.state)) for e in events],
        head,
    )


def test_a_writer_decides_on_the_log_and_not_on_the_contents_it_was_given(log: World) -> None:
    one, other = Knowledge(log.client()), Knowledge(log.client())
    one.record_evidence(brings("s1", pattern("simple")), ANN, EMPTY)
    other.record_evidence(brings("s2", narrowed("twin"), TWIN), ANN, EMPTY)
    assert read(log).patterns["twin"].covered_by == "simple"
    assert other.record_evidence(brings("s1", pattern("simple")), ANN, EMPTY) == 0


def test_sessions_side_by_side_leave_one_state_and_a_settled_covering(log: World) -> None:
    """Each with a knowledge of its own, as separate processes have."""
    rules = [(pattern("simple"), TRUTH), (narrowed("twin"), TWIN), (narrowed("third", "atr_14"), TWIN)]
    lineages = [f"{SERIES}/{TASK}/{model_type}" for model_type in MODEL_TYPES]
    requests = [brings(f"s{number}", *rules[number % 3], lineages[number % 5]) for number in range(9)]
    failed: list[BaseException] = []

    def record(request: knowledge_pb2.RecordEvidenceRequest) -> None:
        try:
            Knowledge(log.client()).record_evidence(request, ANN, EMPTY)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=record, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    state = read(log)
    assert not state.unreadable
    found = {each.record.id: (each.state, each.covered_by) for each in pattern_views.views(state.scope(SERIES, TASK))}
    assert found == {
        "simple": (State.CONFIRMED, ""),
        "twin": (State.COVERED, "simple"),
        "third": (State.COVERED, "simple"),
    }
    assert len(state.sessions) == 9


class Overtaken(LogClient):
    """The log as a writer sees it whom another one overtakes between its reading and its appending."""

    def __init__(self, address: str, other: Callable[[], object]) -> None:
        super().__init__(address, "tester")
        self._others = [other]

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        while self._others:
            self._others.pop()()
        return super().insert_events(stored_events, **kwargs)


def test_a_writer_that_was_overtaken_settles_the_covering_once_more(log: World) -> None:
    other = Knowledge(log.client())
    client = Overtaken(log.address, lambda: other.record_evidence(brings("s1", pattern("simple")), ANN, EMPTY))
    position = Knowledge(client).record_evidence(brings("s2", narrowed("twin"), TWIN, LOGISTIC), ANN, EMPTY)
    client.close()
    state = read(log)
    twin = state.patterns["twin"]
    assert [change.state for change in twin.changes] == [State.CONFIRMED, State.COVERED]
    assert (twin.covered_by, state.position) == ("simple", position + 1)


def test_a_writer_whose_stream_moved_decides_again(log: World) -> None:
    other = Knowledge(log.client())
    client = Overtaken(log.address, lambda: other.record_evidence(brings("s1", pattern("simple")), ANN, EMPTY))
    Knowledge(client).record_evidence(brings("s2", pattern("simple")), ANN, EMPTY)
    client.close()
    record = read(log).patterns["simple"]
    assert [(change.version, change.session_id) for change in record.changes] == [(1, "s1"), (2, "s2")]


def test_a_retirement_frees_what_was_covered_in_the_same_batch_and_is_done_once(log: World) -> None:
    knowledge = Knowledge(log.client())
    knowledge.record_evidence(brings("s1", pattern("simple")), ANN, EMPTY)
    knowledge.record_evidence(brings("s2", narrowed("twin"), TWIN), ANN, EMPTY)
    state = read(log)
    position = knowledge.retire("simple", "the data was wrong", "r1", ANN, state)
    after = read(log)
    assert position == after.position == state.position + 2
    assert after.patterns["simple"].changes[-1].position == position
    assert (after.patterns["simple"].state, after.patterns["twin"].state) == (State.RETIRED, State.CONFIRMED)
    assert knowledge.retire("simple", "the data was wrong", "r1", ANN, state) == 0
    with pytest.raises(AlreadyExists):
        knowledge.retire("twin", "the data was wrong", "r1", ANN, after)


def test_an_offer_is_made_once(log: World) -> None:
    knowledge = Knowledge(log.client())
    knowledge.record_evidence(brings("s1", pattern("simple")), ANN, EMPTY)
    state = read(log)
    position = knowledge.offer("simple", "MSFT", "a rule of the sector", "r1", ANN, state)
    [there] = read(log).scope("MSFT", TASK)
    assert (there.state, there.changes[0].position) == (State.OFFERED, position)
    assert knowledge.offer("simple", "MSFT", "a rule of the sector", "r1", ANN, state) == 0
    with pytest.raises(PreconditionFailed, match="as offered"):
        knowledge.offer("simple", "MSFT", "again", "r2", ANN, state)
