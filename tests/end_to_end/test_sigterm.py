"""SIGTERM under load: what was acknowledged is in the log, nothing twice, and no caller is told of a defect."""

import hashlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ratchet import Client
from ratchet.client.channel import map_rpc_error
from ratchet.errors import RatchetError, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from services.local import ports
from tests.support.datasets import dataset

CLIENTS = 8
ENOUGH = 20
ENDED_WITHIN = 30.0


class Caller(threading.Thread):
    """Registers datasets one after the other, each call once, until one fails."""

    def __init__(self, address: str, name: int) -> None:
        super().__init__()
        self._address, self._name = address, name
        self.asked: list[str] = []
        self.acknowledged: list[str] = []
        self.refused: RatchetError | None = None
        self.warm = threading.Event()

    def run(self) -> None:
        with grpc.insecure_channel(self._address) as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            while self.refused is None:
                digest = hashlib.sha256(f"{self._name} {len(self.asked)}".encode()).hexdigest()
                asked = registry_pb2.RegisterDatasetRequest(request_id=digest, dataset=dataset("NOISE", digest))
                self.asked.append(digest)
                try:
                    stub.RegisterDataset(asked, timeout=ENDED_WITHIN)
                except grpc.RpcError as error:
                    self.refused = map_rpc_error(error, "the registry", seconds=0.0)
                    return
                self.acknowledged.append(digest)
                if len(self.acknowledged) == ENOUGH:
                    self.warm.set()


@contextmanager
def registry(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = ports.choose(0)[0]
    command = [sys.executable, "-m", "ratchet", "serve", "registry", "--home", str(home), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            address = f"127.0.0.1:{port}"
            with grpc.insecure_channel(address) as channel:
                request = health_pb2.HealthCheckRequest()
                health_pb2_grpc.HealthStub(channel).Check(request, timeout=ENDED_WITHIN, wait_for_ready=True)
            yield process, address
        finally:
            process.kill()


def test_a_registry_told_to_stop_keeps_what_it_acknowledged_and_ends_its_streams(tmp_path: Path) -> None:
    with registry(tmp_path) as (process, address), grpc.insecure_channel(address) as channel:
        follower = eventlog_pb2_grpc.EventLogServiceStub(channel).Subscribe(eventlog_pb2.SubscribeRequest())
        followed = [event.stream for event in next(follower).events]
        callers = [Caller(address, number) for number in range(CLIENTS)]
        for caller in callers:
            caller.start()
        assert all(caller.warm.wait(ENDED_WITHIN) for caller in callers)
        process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join(ENDED_WITHIN)
        followed += [event.stream for batch in follower for event in batch.events]
        assert process.wait(ENDED_WITHIN) == 0
    assert {type(caller.refused) for caller in callers} == {Unreachable}
    assert set(followed) <= {"log/keys", *(f"dataset/{digest}" for caller in callers for digest in caller.asked)}
    with registry(tmp_path) as (process, address), Client(registry=address) as client:
        stored = [event.stream for event in client.read_log() if event.stream.startswith("dataset/")]
        assert all("artifact" in found for found in client.verify().findings), (
            "there are no snapshots, and all else fits"
        )
    assert len(stored) == len(set(stored))
    for caller in callers:
        unanswered = set(caller.asked) - set(caller.acknowledged)
        assert {f"dataset/{digest}" for digest in caller.acknowledged} <= set(stored)
        assert len(unanswered) == 1
