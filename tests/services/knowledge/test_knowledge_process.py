"""The registry and knowledge as processes of their own: start, kill, restart."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from ratchet.client import Client
from ratchet.client.transport import LazyChannel, Transport
from ratchet.errors import Unreachable
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as pb
from ratchet.knowledge.v1.knowledge_pb2_grpc import KnowledgeServiceStub
from tests.support.datasets import daily, dataset
from tests.support.planted_rule import (
    FIRST,
    FOREST,
    ROWS,
    SERIES,
    TASK,
    Truth,
    first_test,
    met_again,
    narrowed,
    session,
)

TRUTH = Truth.drawn(1)
Answer = TypeVar("Answer")
START = """
import sys
from pathlib import Path
from services.platform.settings import Settings
from services.{name}.__main__ import main
main(Settings.load({name!r}, Path({home!r}), "127.0.0.1", {port}, {{"RATCHET_REGISTRY": {registry!r}}}))
"""


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Processes:
    """A registry and a knowledge process over one home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ports = {"registry": free_port(), "knowledge": free_port()}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        address = f"127.0.0.1:{self._ports['knowledge']}"
        self._transport = Transport("knowledge service", LazyChannel(address), "ann", 20.0)
        self._stub = KnowledgeServiceStub(self._transport.lazy_channel.channel)

    def import_bars(self) -> None:
        """Registers the snapshot d1."""
        with Client(registry=f"127.0.0.1:{self._ports['registry']}") as client:
            fact = dataset(SERIES, "d1", times=daily(ROWS, FIRST))
            self._patiently(lambda: client.register_dataset(fact))

    def start(self, name: str) -> None:
        registry = f"127.0.0.1:{self._ports['registry']}"
        code = START.format(name=name, home=str(self._home), port=self._ports[name], registry=registry)
        with (self._home / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        self._running[name].kill()
        self._running.pop(name).wait(20)

    def stop(self, name: str) -> int:
        self._running[name].terminate()
        return self._running.pop(name).wait(20)

    def resident_mib(self, name: str) -> float:
        return float(psutil.Process(self._running[name].pid).memory_info().rss) / 2**20

    def record(self, request: pb.RecordEvidenceRequest) -> pb.RecordEvidenceResponse:
        return self._patiently(lambda: self._transport.unary(self._stub.RecordEvidence, request))

    def known(self, position: int, before: int | None = None) -> pb.GetKnowledgeResponse:
        request = pb.GetKnowledgeRequest(series=SERIES, task=TASK, min_position=position, include_all=True)
        if before is not None:
            request.known_before.FromSeconds(before)
        return self._patiently(lambda: self._transport.unary(self._stub.GetKnowledge, request))

    def close(self) -> None:
        self._transport.lazy_channel.close()
        for name in list(self._running):
            self.kill(name)

    def _patiently(self, call: Callable[[], Answer]) -> Answer:
        for _ in range(100):
            try:
                return call()
            except Unreachable:
                time.sleep(0.1)
        return call()


def twin() -> pb.TestedPattern:
    """The same rule with one more condition, which holds wherever it fires."""
    return pb.TestedPattern(pattern=narrowed("bb22"), evidence=TRUTH.evidence((0, 600)), p_value=0.001, passed=True)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    both = Processes(tmp_path)
    yield both
    both.close()


def test_knowledge_survives_the_death_of_either_process(processes: Processes) -> None:
    processes.start("knowledge")
    processes.start("registry")
    processes.import_bars()
    first = processes.record(session("s1", first_test(TRUTH, (0, 600))))
    processes.kill("registry")
    processes.start("registry")
    second = processes.record(session("s2", met_again(TRUTH, (600, 900)), twin(), lineage=FOREST))
    before, earlier = processes.known(second.position), processes.known(second.position, TRUTH.time(500))
    processes.kill("knowledge")
    processes.start("knowledge")
    assert processes.record(session("s1", first_test(TRUTH, (0, 600)))) == first
    assert processes.known(second.position) == before
    assert processes.known(second.position, TRUTH.time(500)) == earlier
    assert {each.pattern.id: (each.state, each.counts.bars) for each in before.patterns} == {
        "aa11": (pattern_pb2.PATTERN_STATE_CONFIRMED, 900),
        "bb22": (pattern_pb2.PATTERN_STATE_COVERED, 600),
    }
    assert [each.counts.bars for each in earlier.patterns] == [499, 499]
    assert processes.resident_mib("knowledge") < 150
    assert processes.stop("knowledge") == 0
