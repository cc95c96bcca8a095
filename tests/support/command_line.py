"""The command line in this process, as the shell would call it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ratchet.cli import main
from ratchet.client.endpoints import ENVIRONMENT


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


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
