"""ratchet health tells a probe what a service says of itself: with the certificate of the environment, and no token."""

import pytest

from ratchet.cli import main
from ratchet.client.credentials import Tls
from ratchet.errors import Unreachable
from services.platform.identity import Identity
from services.platform.identity.token_cache import TokenCache
from services.platform.server import Server
from services.platform.telemetry import Check
from tests.support.every_method import serving
from tests.support.identity import Secured


@pytest.fixture
def environ(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable, value in secured.tls().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("RATCHET_TOKEN", raising=False)
    return monkeypatch


def test_a_service_that_serves_is_found_with_a_certificate_and_without_a_token(
    secured: Secured, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Identity(TokenCache(secured.file)), tls=Tls.load(secured.tls("server"))) as callee:
        environ.setenv("RATCHET_TRAINER", callee.address)
        assert main(["health", "trainer"]) == main(["health", "trainer", "--live"]) == 0
        for variable in secured.tls():
            environ.delenv(variable)
        assert main(["health", "trainer"]) == 5
    assert "it hangs up" in capsys.readouterr().err


def test_a_service_that_misses_something_says_what_and_is_alive(
    environ: pytest.MonkeyPatch, secured: Secured, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> None:
        raise Unreachable("the database does not answer; start it")

    server = Server("127.0.0.1", 0, tls=Tls.load(secured.tls("server")))
    server.needs(Check("database", gone))
    server.start()
    try:
        environ.setenv("RATCHET_REGISTRY", f"127.0.0.1:{server.port}")
        assert main(["health", "registry"]) == 5
        assert "does not serve: the database does not answer" in capsys.readouterr().err
        assert main(["health", "registry", "--live"]) == 0
    finally:
        server.stop(0.0)


def test_a_service_that_does_not_run_is_no_success(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("RATCHET_KNOWLEDGE", "127.0.0.1:1")
    assert main(["health", "knowledge"]) == main(["health", "knowledge", "--live"]) == 5
