"""Checkpoints and proofs over gRPC: a stranger checks them with ratchet.transparency alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.client import Client
from ratchet.client.error_mapping import from_rpc
from ratchet.errors import InvalidInput
from ratchet.eventlog.v1 import eventlog_pb2 as pb
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.transparency import checkpoints, merkle
from ratchet.transparency.keys import origin_of
from services.platform.server import Server
from services.registry.eventlog import Log, open_log, service
from services.registry.eventlog.checkpoints import Signer
from tests.support.log_samples import append, fact

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
EVENTS = 12

Stub: TypeAlias = Any  # grpc-stubs types what a call returns as less than it is


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """The key, then transactions of one and of two events: sizes 1, 2, 4, 5, 7, 8, 10, 11, 13 are signed."""
    made = open_log(f"sqlite://{tmp_path_factory.mktemp('log') / 'log.sqlite'}", (), lambda: datetime.now(UTC))
    made.sign_with(SIGNER)
    for number in range(EVENTS // 3):
        made.commit(append(f"a{number}", fact(f"session/a{number}", 1)))
        made.commit(append(f"b{number}", fact(f"session/b{number}", 1), fact(f"session/b{number}", 2)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(log: Log) -> Iterator[str]:
    server = Server("127.0.0.1", 0)
    add = eventlog_pb2_grpc.add_EventLogServiceServicer_to_server
    server.add(add, service.EventLogService(log), service.NAME)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0)


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as made:
        yield made


def verified(note: str) -> checkpoints.Checkpoint:
    found = checkpoints.Checkpoint.parse(note)
    assert checkpoints.verify(found, SIGNER.public_key)
    return found


def test_the_end_of_the_log_is_signed(client: Client) -> None:
    answer = client.get_head()
    found = verified(answer.checkpoint)
    assert (found.size, found.root) == (answer.position, answer.root) == (EVENTS + 1, answer.root)
    assert found.time == answer.recorded_at.seconds
    assert found.origin == origin_of(SIGNER.public_key)


def test_every_event_is_proven_in_every_tree(client: Client) -> None:
    for size in range(1, EVENTS + 2):
        for position in range(1, size + 1):
            answer = client.prove_inclusion(position, size)
            found = answer.event
            leaf = merkle.leaf_hash(
                merkle.canonical_leaf(found.position, found.stream, found.version, found.topic, found.state)
            )
            assert merkle.verify_inclusion(leaf, position - 1, size, answer.hashes, answer.root)
            if answer.checkpoint:
                checkpoint = verified(answer.checkpoint)
                assert (checkpoint.size, checkpoint.root) == (size, answer.root)
    assert client.prove_inclusion(1).size == EVENTS + 1


def test_the_sizes_of_transactions_are_signed_and_no_others(client: Client) -> None:
    signed = [size for size in range(1, EVENTS + 2) if client.prove_inclusion(1, size).checkpoint]
    assert signed == [1, 2, 4, 5, 7, 8, 10, 11, 13]
    assert [each.size for each in client.list_checkpoints()] == signed
    assert [each.size for each in client.list_checkpoints(8)] == [8, 10, 11, 13]


def test_checkpoints_are_listed_page_by_page(client: Client, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(client.list_checkpoints())
    monkeypatch.setattr(service, "MAX_CHECKPOINTS", 2)
    assert list(client.list_checkpoints()) == whole
    with grpc.insecure_channel(address) as channel:
        stub: Stub = eventlog_pb2_grpc.EventLogServiceStub(channel)
        assert len(stub.ListCheckpoints(pb.ListCheckpointsRequest(limit=1)).checkpoints) == 1
        assert len(stub.ListCheckpoints(pb.ListCheckpointsRequest()).checkpoints) == 2


def test_every_checkpoint_is_proven_to_be_continued_by_the_later_ones(client: Client) -> None:
    found = [verified(each.note) for each in client.list_checkpoints()]
    for old in found:
        for new in found:
            if old.size <= new.size:
                answer = client.prove_consistency(old.size, new.size)
                assert verified(answer.checkpoint) == new
                assert merkle.verify_consistency(old.size, new.size, answer.hashes, old.root, new.root)
    assert client.prove_consistency(1).new_size == EVENTS + 1


@pytest.mark.parametrize(
    "call",
    [
        lambda stub: stub.ProveInclusion(pb.ProveInclusionRequest()),
        lambda stub: stub.ProveInclusion(pb.ProveInclusionRequest(position=EVENTS + 2)),
        lambda stub: stub.ProveInclusion(pb.ProveInclusionRequest(position=5, size=4)),
        lambda stub: stub.ProveInclusion(pb.ProveInclusionRequest(position=1, size=99)),
        lambda stub: stub.ProveConsistency(pb.ProveConsistencyRequest(old_size=99)),
        lambda stub: stub.ProveConsistency(pb.ProveConsistencyRequest(old_size=5, new_size=4)),
        lambda stub: stub.ProveConsistency(pb.ProveConsistencyRequest(old_size=-1)),
        lambda stub: stub.ListCheckpoints(pb.ListCheckpointsRequest(from_size=-1)),
    ],
)
def test_what_the_log_does_not_have_is_invalid_input(address: str, call: Callable[[Stub], object]) -> None:
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as raised:
        call(eventlog_pb2_grpc.EventLogServiceStub(channel))
    assert isinstance(from_rpc(raised.value, "log"), InvalidInput)


def test_an_export_from_the_beginning_to_a_signed_size_ends_with_its_checkpoint(client: Client) -> None:
    [whole] = client.export_log()
    assert (len(whole.events), verified(whole.checkpoint).size) == (EVENTS + 1, EVENTS + 1)
    assert [verified(each.checkpoint).size for each in client.export_log(1, 4)] == [4]
    assert [each.checkpoint for each in client.export_log(1, 3)] == [""]
    assert [each.checkpoint for each in client.export_log(2, 4)] == [""]
    assert list(client.export_log(99)) == []


def test_a_log_that_is_not_signed_says_so_by_leaving_checkpoints_out(tmp_path: Path) -> None:
    unsigned = open_log(f"sqlite://{tmp_path / 'log.sqlite'}", (), lambda: datetime.now(UTC))
    unsigned.commit(append("r1", fact("session/1", 1)))
    server = Server("127.0.0.1", 0)
    add = eventlog_pb2_grpc.add_EventLogServiceServicer_to_server
    server.add(add, service.EventLogService(unsigned), service.NAME)
    server.start()
    with Client(f"127.0.0.1:{server.port}") as client:
        assert client.get_head().checkpoint == ""
        assert client.prove_inclusion(1).checkpoint == ""
        assert list(client.list_checkpoints()) == []
    server.stop(0)
    unsigned.close()
