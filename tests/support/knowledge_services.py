"""A log in a real file, served over gRPC, and knowledge services on top of it, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ratchet.client.transport import LazyChannel, Transport
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.knowledge.v1.knowledge_pb2_grpc import KnowledgeServiceStub
from services.knowledge.bootstrap import build
from services.platform.facts import Fact
from services.platform.log_client import LogClient
from services.platform.server import Server
from services.platform.settings import Settings
from services.registry.eventlog import Log, LogApplication, Origin, open_log
from services.registry.eventlog.service import NAME, EventLogService
from tests.support.planted_rule import IMPORTS

DEADLINE = 30.0


class Knowing:
    """A running knowledge service, with a client whose errors are Ratchet's own."""

    def __init__(self, server: Server, closers: Sequence[Callable[[], None]]) -> None:
        self._server, self._service_closers, self._running = server, closers, True
        self._transport = Transport(
            "knowledge service", LazyChannel(f"127.0.0.1:{server.port}"), "ann", DEADLINE, backoff=()
        )
        self.stub = KnowledgeServiceStub(self._transport.lazy_channel.channel)
        self.ask = self._transport.unary

    def stop(self) -> None:
        if self._running:
            self._running = False
            self._transport.lazy_channel.close()
            self._server.stop(0.0)
            for close in self._service_closers:
                close()


class World:
    """Starts and stops logs, and knowledge services that follow them. Each log has the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = self._requests = 0
        self._log: tuple[Log, Server] | None = None
        self._closers: list[Callable[[], object]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start_log(self, name: str = "log") -> None:
        """The log begins with the imports of planted_rule."""
        log = open_log(f"sqlite://{self._folder / name}.sqlite", (), lambda: datetime.now(UTC))
        server = Server("127.0.0.1", self._port)
        server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, EventLogService(log), NAME)
        server.start()
        self._port, self._log = server.port, (log, server)
        if not log.head().position:
            self.append(IMPORTS)

    def append(self, facts: Sequence[Fact]) -> None:
        """Facts that only the registry itself appends."""
        assert self._log is not None
        self._requests += 1
        application = LogApplication(self._log[0])
        application.append(facts, Origin(f"request {self._requests}", b"r", "registry"))

    def stop_log(self) -> None:
        if self._log is not None:
            log, server = self._log
            log.close()
            server.stop(0.0)
            self._log = None

    def client(self) -> LogClient:
        client = LogClient(self.address, "tester")
        self._closers.append(client.close)
        return client

    def start_knowledge(self) -> Knowing:
        settings = Settings.load("knowledge", self._folder, "127.0.0.1", 0, {"RATCHET_REGISTRY": self.address})
        server, closers = build(settings)
        server.start()
        knowing = Knowing(server, closers)
        self._closers.append(knowing.stop)
        return knowing

    def close(self) -> None:
        for close in reversed(self._closers):
            close()
        self.stop_log()
