"""What must be set up before a service listens, or calls the others."""

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from ratchet.client.services import SERVICES
from ratchet.errors import InvalidInput, PreconditionFailed
from services.platform.identity import token_file
from services.platform.identity.token_file import Role
from services.platform.server import open_server
from services.platform.settings import Settings, require_loopback
from tests.support.identity import OWNERS, Secured


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "registry.example.org", ""])
def test_beyond_loopback_needs_all_of_tls_and_tokens(secured: Secured, host: str) -> None:
    whole = secured.services()
    require_loopback(host, insecure=False, environ=whole)
    require_loopback(host, insecure=True, environ={})
    for variable in ("RATCHET_TLS_CERT", "RATCHET_TLS_KEY", "RATCHET_TLS_CA", "RATCHET_TOKENS"):
        with pytest.raises(InvalidInput, match=rf"\({variable} not set\).*ratchet certs.*ratchet tokens.*--insecure"):
            require_loopback(host, insecure=False, environ={**whole, variable: ""})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    require_loopback(host, insecure=False, environ={})


@pytest.mark.parametrize("service", ["knowledge", "trainer", "predictor"])
def test_a_service_that_calls_others_needs_a_token_of_a_service(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    role = cast(Role, SERVICES[service].role)

    def opened(name: str) -> None:
        open_server(Settings.load(name, tmp_path, "127.0.0.1", 0))

    for variable, value in secured.service(service).items():
        monkeypatch.setenv(variable, value)
    opened(service)
    monkeypatch.setenv("RATCHET_TOKEN", secured.token["admin"])
    with pytest.raises(
        PreconditionFailed, match=f"that of {OWNERS['admin']}, admin; the {service} needs a token of role"
    ):
        opened(service)
    old, _ = token_file.add(tmp_path / "tokens", "old", role, datetime(2020, 1, 1, tzinfo=UTC), days=30)
    with monkeypatch.context() as with_old:
        with_old.setenv("RATCHET_TOKENS", str(tmp_path / "tokens"))
        with_old.setenv("RATCHET_TOKEN", old)
        with pytest.raises(PreconditionFailed, match=f"that of old, {role}, and has expired; "):
            opened(service)
    monkeypatch.setenv("RATCHET_TOKEN", "revoked")
    with pytest.raises(PreconditionFailed, match="RATCHET_TOKEN is not in force"):
        opened(service)
    monkeypatch.delenv("RATCHET_TOKEN")
    with pytest.raises(PreconditionFailed, match=f"not set; .*ratchet tokens add {service} --role {role}"):
        opened(service)
    opened("registry")
    for variable, file in secured.tls("client").items():
        monkeypatch.setenv(variable, file)
    with pytest.raises(InvalidInput, match=r"client\.pem is the certificate of a caller; .* server\.pem"):
        opened("registry")
