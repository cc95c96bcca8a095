"""Real bars; a real registry and knowledge service on free ports, an artifact store, and a client of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ratchet.client import Client
from services.knowledge import bootstrap as knowledge
from services.platform.artifacts import ArtifactStore, open_store
from services.platform.server import Server
from services.platform.settings import Settings
from services.registry import bootstrap as registry
from tests.support.bars import aapl, ibm

__all__ = ["aapl", "ibm"]

Built = tuple[Server, Sequence[Callable[[], None]]]


def served(built: Built) -> Iterator[str]:
    server, closers = built
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0)
    for close in closers:
        close()


@pytest.fixture
def registry_address(tmp_path: Path) -> Iterator[str]:
    yield from served(registry.build(Settings.load("registry", tmp_path, "127.0.0.1", 0, {})))


@pytest.fixture
def knowledge_address(tmp_path: Path, registry_address: str) -> Iterator[str]:
    environ = {"RATCHET_REGISTRY": registry_address}
    yield from served(knowledge.build(Settings.load("knowledge", tmp_path, "127.0.0.1", 0, environ)))


@pytest.fixture
def client(registry_address: str) -> Iterator[Client]:
    """A client of the registry alone."""
    made = Client(registry=registry_address, actor="tester")
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_store((tmp_path / "artifacts").as_uri())
