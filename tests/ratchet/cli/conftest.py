"""The command line, and services that know patterns."""

from collections.abc import Callable, Mapping

import pytest

from ratchet.errors import RatchetError
from ratchet.knowledge.v1 import knowledge_pb2
from tests.support import pattern_services
from tests.support.command_line import Run, run

__all__ = ["run", "services"]

PatternServices = Callable[..., pattern_services.Knowledge]


@pytest.fixture
def services(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, run: Run) -> PatternServices:
    """services(pattern, …, refusals={series: error}) → what the commands on patterns ask and are answered."""

    def start(
        *patterns: knowledge_pb2.KnownPattern, map_errors: Mapping[str, RatchetError] | None = None
    ) -> pattern_services.Knowledge:
        knowledge, address = pattern_services.start(serve, patterns, dict(map_errors or {}))
        for service in ("REGISTRY", "KNOWLEDGE"):
            monkeypatch.setenv(f"RATCHET_{service}", address)
        return knowledge

    return start
