"""Fixtures: a log with knowledge services on top of it, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.knowledge_services import Knowing, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def knowing(world: World) -> Knowing:
    world.start_log()
    return world.start_knowledge()
