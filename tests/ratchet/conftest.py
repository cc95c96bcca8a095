"""Real gRPC servers on free ports, with the interceptor that every service has."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.platform.server import Server

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve((add_…_to_server, servicer, full name), …) → host:port; stopped after the test."""
    running: list[Server] = []

    def start(*services: tuple[Callable[[Any, Any], None], Any, str], port: int = 0) -> str:
        server = Server("127.0.0.1", port)
        for register, servicer, name in services:
            server.add(register, servicer, name)
        server.start()
        running.append(server)
        return f"127.0.0.1:{server.port}"

    yield start
    for server in running:
        server.stop(grace=0.0)
