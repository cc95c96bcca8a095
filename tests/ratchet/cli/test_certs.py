"""ratchet certs makes what mutual TLS needs, prints lines that run, and overwrites nothing."""

import ipaddress
import json
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from ratchet.client.credentials import Tls

Run = Callable[..., Any]


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def environment(lines: str) -> dict[str, str]:
    """What a shell has after it ran the lines."""
    shell = subprocess.run(["sh", "-ec", f"{lines}\nenv -0"], env={}, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in shell.stdout.split("\0") if line.startswith("RATCHET_"))


def test_the_printed_lines_run_and_are_what_services_and_callers_load(run: Run, tmp_path: Path) -> None:
    ran = run("certs", "my certificates")
    assert ran.code == 0
    services, callers = environment(ran.out), environment(ran.err.partition("export:\n")[2])
    folder = tmp_path / "my certificates"
    assert services["RATCHET_TLS_CERT"] == str(folder / "server.pem")
    assert callers["RATCHET_TLS_CERT"] == str(folder / "client.pem")
    assert services["RATCHET_TLS_CA"] == callers["RATCHET_TLS_CA"] == str(folder / "ca.pem")
    assert Tls.load(services)
    assert Tls.load(callers)


def test_keys_are_their_owners_alone(run: Run, tmp_path: Path) -> None:
    run("certs", "tls")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "tls").iterdir()}
    assert modes == {
        f"{name}.{kind}": mode for name in ("ca", "server", "client") for kind, mode in (("key", 0o600), ("pem", 0o644))
    }
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_a_server_is_named_as_asked_and_a_caller_is_no_server(run: Run, tmp_path: Path) -> None:
    run("certs", "tls", "--host", "registry", "--host", "10.1.2.3", "--host", "*.example.org")
    server, client = (certificate(tmp_path / "tls" / f"{name}.pem") for name in ("server", "client"))
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "registry", "*.example.org"]
    assert names.get_values_for_type(x509.IPAddress) == [*map(ipaddress.ip_address, ("127.0.0.1", "::1", "10.1.2.3"))]
    usages = [list(each.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for each in (server, client)]
    assert ExtendedKeyUsageOID.SERVER_AUTH in usages[0]
    assert usages[1] == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_they_are_of_one_authority_on_p256_for_a_year(run: Run, tmp_path: Path) -> None:
    run("certs", "tls")
    authority, *others = (certificate(tmp_path / "tls" / f"{name}.pem") for name in ("ca", "server", "client"))
    for each in (authority, *others):
        each.verify_directly_issued_by(authority)
        key = each.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert isinstance(key.curve, ec.SECP256R1)
        left = each.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days=364) < left <= timedelta(days=365)
        assert each.not_valid_before_utc < datetime.now(UTC)
    constraints = [each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for each in others]
    assert constraints == [False, False]


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem", "client.key"])
def test_nothing_is_overwritten(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / name).write_text("mine")
    ran = run("certs", "tls")
    assert (ran.code, ran.out) == (4, "")
    assert f"{name} is there" in ran.err
    assert [file.name for file in (tmp_path / "tls").iterdir()] == [name]
    assert (tmp_path / "tls" / name).read_text() == "mine"


@pytest.mark.parametrize("host", ["registry:7301", "a b", "", "https://registry", "-a"])
def test_what_is_no_host_is_named(run: Run, tmp_path: Path, host: str) -> None:
    ran = run("certs", "tls", f"--host={host}")
    assert (ran.code, ran.out) == (2, "")
    assert "without a port" in ran.err
    assert not (tmp_path / "tls").exists()


def test_the_home_has_them_unless_a_folder_is_named(run: Run, tmp_path: Path) -> None:
    found = json.loads(run("certs", "--home", "h", "-o", "json").out)
    assert found["server"]["RATCHET_TLS_KEY"] == str(tmp_path / "h" / "tls" / "server.key")
    assert found["client"]["RATCHET_TLS_KEY"] == str(tmp_path / "h" / "tls" / "client.key")
