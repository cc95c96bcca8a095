"""A real registry on a home of its own, whose telemetry can be read, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ratchet.client import Client
from ratchet.client.channel import open_channel
from ratchet.client.credentials import Credentials
from ratchet.client.health import HealthStatus, check_health
from services.platform.server import Server
from services.platform.settings import Settings
from services.registry import bootstrap


@dataclass(frozen=True)
class Watched:
    server: Server
    client: Client

    def health(self, name: str = "") -> HealthStatus:
        with open_channel(f"127.0.0.1:{self.server.port}", Credentials()) as channel:
            return check_health(channel, name)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.server.telemetry.metrics.registry.get_sample_value(name, labels)


@contextmanager
def registry_on(home: Path) -> Iterator[Watched]:
    """With what the environment asks for."""
    server, closers = bootstrap.build(Settings.load("registry", home, "127.0.0.1", 0))
    server.start()
    client = Client(f"127.0.0.1:{server.port}", actor="tester")
    try:
        yield Watched(server, client)
    finally:
        client.close()
        server.stop(0)
        for close in closers:
            close()
