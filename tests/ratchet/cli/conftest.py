"""The command line in this process, as the shell would call it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pattern_services
import pytest

from ratchet.cli import main
from ratchet.endpoints import ENVIRONMENT
from ratchet.errors import RatchetError
from ratchet.knowledge.v1 import knowledge_pb2


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]
PatternServices = Callable[..., pattern_services.Knowledge]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Run:
    """run("models", "list") → exit code, stdout, stderr; in an empty folder, with no address in the environment."""
    for key in (*ENVIRONMENT.values(), "RATCHET_DEBUG"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(str(tmp_path))

    def call(*words: str) -> Ran:
        code = main(words)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def services(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, run: Run) -> PatternServices:
    """services(pattern, …, refusals={series: error}) → what the commands on patterns ask and are answered."""

    def start(
        *patterns: knowledge_pb2.KnownPattern, refusals: Mapping[str, RatchetError] | None = None
    ) -> pattern_services.Knowledge:
        knowledge, address = pattern_services.start(serve, patterns, dict(refusals or {}))
        for service in ("REGISTRY", "KNOWLEDGE"):
            monkeypatch.setenv(f"RATCHET_{service}", address)
        return knowledge

    return start
