"""A real registry on a free port, over SQLite in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.platform.settings import Settings
from services.registry.bootstrap import build
from tests.support.registry_client import Registry


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load("registry", tmp_path, "127.0.0.1", 0, {})


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    """A registry that knows the bars of AAPL."""
    server, closers = build(settings)
    server.start()
    client = Registry(f"127.0.0.1:{server.port}")
    client.import_bars()
    yield client
    client.close()
    server.stop(0)
    for close in closers:
        close()
