"""The log over gRPC, with the real server on a free port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client.error_mapping import from_rpc
from ratchet.client.transport import ACTOR_KEY
from ratchet.errors import AlreadyExists, Busy, InvalidInput, NotBuilt, RatchetError, StreamConflict
from ratchet.eventlog.v1 import eventlog_pb2 as pb
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.events.v1 import facts_pb2, pattern_pb2
from services.platform.limits import DEFAULT_LIMITS
from services.platform.server import Server
from services.registry.eventlog import Log
from services.registry.eventlog.service import NAME, EventLogService
from tests.support.log_samples import append, everything, fact

Stub: TypeAlias = Any  # grpc-stubs types what a call returns as less than it is


@pytest.fixture
def stub(log: Log) -> Iterator[Stub]:
    server = Server("127.0.0.1", 0, limits=replace(DEFAULT_LIMITS, watch_streams=2))
    server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, EventLogService(log), NAME)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield eventlog_pb2_grpc.EventLogServiceStub(channel)
    server.stop(0)


def new(message: Message, stream: str, version: int = 1) -> pb.NewEvent:
    return pb.NewEvent(
        stream=stream, version=version, topic=message.DESCRIPTOR.full_name, payload=message.SerializeToString()
    )


def ranked(version: int, stream: str = "features/AAPL/range/logistic") -> pb.NewEvent:
    return new(facts_pb2.FeaturesRanked(lineage="AAPL/range/logistic"), stream, version)


def refusal(call: grpc.RpcError) -> RatchetError:
    return from_rpc(call, "log")


def eventually(holds: Callable[[], bool]) -> None:
    """Ask until it holds; the place of a watcher that left is given back a moment later."""
    deadline = time.monotonic() + 60
    while True:
        try:
            assert holds()
            return
        except grpc.RpcError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_knowledge_facts_are_appended_with_the_caller_s_name(stub: Stub, log: Log) -> None:
    fact = facts_pb2.PatternDiscovered(pattern=pattern_pb2.Pattern(id="7f"), session_id="s")
    discovered = new(fact, "pattern/7f")
    discovered.causation_id = "session/s"
    request = pb.AppendRequest(request_id="r1", correlation_id="s", events=[ranked(1), discovered])
    for _ in range(2):
        answer = stub.Append(request, metadata=[(ACTOR_KEY, "knowledge")])
        assert list(answer.positions) == [1, 2]
    second = everything(log)[1].fact
    assert (second.actor, second.causation_id, second.correlation_id) == ("knowledge", "session/s", "s")
    assert second.message == fact


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (new(facts_pb2.ModelPromoted(model="m"), "lineage/a"), "ratchet.events.v1.ModelPromoted' on 'lineage/a'"),
        (new(facts_pb2.ModelPromoted(model="m"), "pattern/a"), "not accepted"),
        (ranked(1, "pattern/7f"), "features/…, not on 'pattern/7f'"),
        (ranked(1, "features/"), "features/…"),
        (new(facts_pb2.PatternRetired(), "features/x"), "pattern/…, not on 'features/x'"),
        (pb.NewEvent(stream="pattern/1", version=1, topic="os.system"), "os.system"),
        (
            pb.NewEvent(stream="pattern/1", version=1, topic="ratchet.events.v1.PatternRetired", payload=b"\xff"),
            "PatternRetired",
        ),
    ],
)
def test_other_facts_are_refused_by_name(stub: Stub, log: Log, wrong: pb.NewEvent, words: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Append(pb.AppendRequest(request_id="r1", events=[ranked(1), wrong]))
    error = refusal(raised.value)
    assert isinstance(error, InvalidInput)
    assert words in error.message
    assert log.head().position == 0


def test_a_conflict_and_a_used_request_id_reach_the_caller_as_what_they_are(stub: Stub) -> None:
    stub.Append(pb.AppendRequest(request_id="r1", events=[ranked(1)]))
    with pytest.raises(grpc.RpcError) as raised:
        stub.Append(pb.AppendRequest(request_id="r2", events=[ranked(1)]))
    assert raised.value.code() is grpc.StatusCode.ABORTED
    conflict = refusal(raised.value)
    assert isinstance(conflict, StreamConflict)
    assert conflict.metadata == {"stream": "features/AAPL/range/logistic", "expected": "0", "actual": "1"}
    with pytest.raises(grpc.RpcError) as raised:
        stub.Append(pb.AppendRequest(request_id="r1", events=[ranked(2)]))
    assert isinstance(refusal(raised.value), AlreadyExists)


def test_reading_and_exporting_come_in_batches(stub: Stub, log: Log) -> None:
    log.commit(append("r1", *[fact("session/1", version) for version in range(1, 1202)]))
    batches = [list(answer.events) for answer in stub.Read(pb.ReadRequest())]
    assert [len(batch) for batch in batches] == [500, 500, 201]
    assert [(e.position, e.state) for batch in batches for e in batch] == [
        (e.position, e.state) for e in everything(log)
    ]
    assert [list(answer.events) for answer in stub.Export(pb.ExportRequest())] == batches
    request = pb.ReadRequest(start=5, stop=900, limit=2, descending=True, as_of=pb.AsOf(position=700))
    assert [e.position for answer in stub.Read(request) for e in answer.events] == [700, 699]
    at = Timestamp()
    at.FromDatetime(everything(log)[0].recorded_at)
    now = stub.Read(pb.ReadRequest(as_of=pb.AsOf(time=at), stream="session/1", after_version=1200))
    assert [e.version for answer in now for e in answer.events] == [1201]
    before = pb.Filter(recorded_to=at, stream_prefixes=["session/"])
    assert list(stub.Read(pb.ReadRequest(filter=before))) == []
    with pytest.raises(grpc.RpcError) as raised:
        list(stub.Read(pb.ReadRequest(start=-1)))
    assert isinstance(refusal(raised.value), InvalidInput)


def test_a_subscription_delivers_the_past_then_the_present(stub: Stub, log: Log) -> None:
    log.commit(append("r1", fact("session/1", 1), fact("lineage/a", 1)))
    answers = stub.Subscribe(pb.SubscribeRequest(filter=pb.Filter(stream_prefixes=["session/"])), timeout=30)
    first = next(answers)
    assert ([e.position for e in first.events], first.position) == ([1], 2)
    log.commit(append("r2", fact("session/1", 2)))
    assert [e.position for e in next(answers).events] == [3]
    answers.cancel()


def test_watchers_are_capped_and_calls_still_find_a_thread(stub: Stub, log: Log) -> None:
    log.commit(append("r1", fact("session/1", 1)))
    watching = [stub.Subscribe(pb.SubscribeRequest()) for _ in range(2)]
    assert [next(answers).position for answers in watching] == [1, 1]
    with pytest.raises(grpc.RpcError) as raised:
        next(stub.Subscribe(pb.SubscribeRequest()))
    assert isinstance(refusal(raised.value), Busy)
    assert stub.GetHead(pb.GetHeadRequest()).position == 1
    watching[0].cancel()
    eventually(lambda: next(stub.Subscribe(pb.SubscribeRequest())).position == 1)


def test_the_head_carries_the_merkle_root(stub: Stub, log: Log) -> None:
    empty = stub.GetHead(pb.GetHeadRequest())
    assert (empty.position, len(empty.root), empty.HasField("recorded_at")) == (0, 32, False)
    stub.Append(pb.AppendRequest(request_id="r1", events=[ranked(1)]))
    head = stub.GetHead(pb.GetHeadRequest())
    assert (head.position, head.root) == (1, log.head().root)
    assert head.HasField("recorded_at")


def test_a_rebuild_says_what_it_found(stub: Stub, log: Log) -> None:
    log.commit(append("r1", fact("session/1", 1), fact("session/2", 1)))
    answer = stub.Rebuild(pb.RebuildRequest())
    assert answer.position == 2
    assert [(table.name, table.rows, table.identical) for table in answer.tables] == [("streams", 2, True)]


def test_a_log_without_its_artifacts_is_verified_by_an_export(stub: Stub) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Verify(pb.VerifyRequest())
    error = refusal(raised.value)
    assert isinstance(error, NotBuilt)
    assert "verify an export" in error.message


def refused(stub: Stub, events: list[pb.NewEvent]) -> InvalidInput:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Append(pb.AppendRequest(request_id="r1", events=events))
    error = refusal(raised.value)
    assert isinstance(error, InvalidInput)
    return error


def test_a_fact_is_appended_to_its_own_stream_alone(stub: Stub) -> None:
    found = refused(stub, [ranked(1, stream="features/AAPL/range")])
    assert "belongs on features/AAPL/range/logistic, not on 'features/AAPL/range'" in found.message


def test_a_fact_is_appended_in_canonical_bytes_alone(stub: Stub) -> None:
    event = ranked(1)
    event.payload += event.payload
    assert refused(stub, [event]).fields == {"events.payload": "not canonical"}


def test_what_a_fact_says_is_well_formed(stub: Stub) -> None:
    fact = facts_pb2.FeaturesRanked(lineage="AAPL/range/logistic", session_id="a\0b")
    found = refused(stub, [new(fact, "features/AAPL/range/logistic", 1)])
    assert found.fields == {"events.payload.session_id": "NUL"}


def test_a_filter_names_a_bounded_number_of_things(stub: Stub) -> None:
    for many in (pb.Filter(stream_prefixes=["session/"] * 2000), pb.Filter(topics=["a"] * 2000)):
        for answers in (stub.Read(pb.ReadRequest(filter=many)), stub.Subscribe(pb.SubscribeRequest(filter=many))):
            with pytest.raises(grpc.RpcError) as raised:
                next(answers)
            assert "2000" in refusal(raised.value).message
            assert "100 at most; ask in parts" in refusal(raised.value).message
