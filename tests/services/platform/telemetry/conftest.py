"""A real registry that is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.observed_registry import Watched, registry_on


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with registry_on(tmp_path) as started:
        yield started


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks are asked, and given up, sooner."""
    for name, seconds in (("INTERVAL", 0.02), ("RETRY", 0.02), ("TIMEOUT", 0.4), ("STARTUP", 0.2)):
        monkeypatch.setattr(f"services.platform.telemetry.checks.{name}_SECONDS", seconds)
