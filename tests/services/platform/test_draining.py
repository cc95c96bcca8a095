"""A service that is told to stop finishes what it was asked, ends by itself, and never takes longer than it may."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from services.local import ports

SERVICE = """
import sys, time
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from services.platform.server import Server, run

class Slow(registry_pb2_grpc.RegistryServiceServicer):
    def GetModel(self, request, context):
        print("asked", flush=True)
        time.sleep(float(request.model))
        return registry_pb2.GetModelResponse(model=registry_pb2.Model(name="answered"))

server = Server("127.0.0.1", int(sys.argv[1]))
server.add(registry_pb2_grpc.add_RegistryServiceServicer_to_server, Slow(), "ratchet.registry.v1.RegistryService")
server.before_stop(lambda: print("stopping", flush=True))
run("slow", server, (lambda: print("closed", flush=True),), *map(float, sys.argv[2:]))
"""
ENDED_WITHIN = 30.0


@dataclass(frozen=True)
class Slow:
    """A service whose GetModel takes as many seconds as the model's name says."""

    process: subprocess.Popen[str]
    channel: grpc.Channel

    def ask(self, seconds: str) -> grpc.Future[registry_pb2.GetModelResponse]:
        """A call that has arrived there."""
        stub = registry_pb2_grpc.RegistryServiceStub(self.channel)
        call = stub.GetModel.future(registry_pb2.GetModelRequest(model=seconds), timeout=ENDED_WITHIN)
        assert self.said() == "asked"
        return call

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)


@contextmanager
def served(grace: float, closing: float) -> Iterator[Slow]:
    port = ports.choose(0)[0]
    command = [sys.executable, "-c", SERVICE, str(port), str(grace), str(closing)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        try:
            health = health_pb2_grpc.HealthStub(channel)
            health.Check(health_pb2.HealthCheckRequest(), timeout=ENDED_WITHIN, wait_for_ready=True)
            yield Slow(process, channel)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_call_in_flight_is_finished_and_no_other_begun(number: signal.Signals) -> None:
    with served(20.0, 5.0) as slow:
        watch = health_pb2_grpc.HealthStub(slow.channel).Watch(health_pb2.HealthCheckRequest(), timeout=ENDED_WITHIN)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        asked = slow.ask("1.0")
        slow.tell(number)
        assert slow.said() == "stopping"
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        assert asked.result().model.name == "answered"
        assert slow.said() == "closed"
        assert slow.process.wait(ENDED_WITHIN) == 0
        with pytest.raises(grpc.RpcError) as refused:
            registry_pb2_grpc.RegistryServiceStub(slow.channel).GetModel(registry_pb2.GetModelRequest(), timeout=5.0)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def too_long(slow: Slow) -> None:
    """The grace passes."""


def again(slow: Slow) -> None:
    slow.tell()


@pytest.mark.parametrize(("grace", "then", "code"), [(0.2, too_long, 1), (20.0, again, 128 + signal.SIGTERM)])
def test_a_call_that_does_not_end_keeps_no_service_from_its_end(
    grace: float, then: Callable[[Slow], None], code: int
) -> None:
    with served(grace, 0.3) as slow:
        asked = slow.ask("60")
        slow.tell()
        assert slow.said() == "stopping"
        then(slow)
        assert slow.process.wait(ENDED_WITHIN) == code
        with pytest.raises(grpc.RpcError):
            asked.result()
        assert asked.code() is grpc.StatusCode.UNAVAILABLE
