"""Mutual TLS over real connections: both sides show a certificate of the authority, in force, or there is no call."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from ratchet.cli.certs import Authority
from ratchet.cli.health import is_serving
from ratchet.client import Client
from ratchet.client.credentials import Credentials, Tls
from ratchet.errors import InvalidInput, NotAllowed, PreconditionFailed, RatchetError, Unreachable
from services.platform.log_client import LogClient
from tests.support.every_method import Callee, serving
from tests.support.identity import Secured, issued, pem, private

NOW = datetime.now(UTC)
MODEL = "AAPL/range/logistic/v1"
TWO_YEARS = timedelta(days=730)


@pytest.fixture(scope="module")
def callee(secured: Secured) -> Iterator[Callee]:
    with serving(None, tls=Tls.load(secured.tls("server"))) as made:
        yield made


def trusted(secured: Secured) -> bytes:
    return (secured.folder / "ca.pem").read_bytes()


def asked(address: str, tls: Tls | None, host: str = "127.0.0.1") -> None:
    with Client(address.replace("127.0.0.1", host), credentials=Credentials(tls), timeout=5.0) as client:
        client.registry._backoff = ()
        client.get_model(MODEL)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", ["client", "server"])
def test_a_certificate_of_the_authority_is_let_in(callee: Callee, secured: Secured, name: str, host: str) -> None:
    asked(callee.address, Tls.load(secured.tls(name)), host)


def test_every_kind_of_caller_uses_the_variables(
    callee: Callee, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached() -> tuple[bool, bool]:
        log = LogClient(callee.address, "tester")
        try:
            log.head()
            with Client(callee.address) as client:
                client.get_model(MODEL)
            return True, is_serving(callee.address, 5.0)
        finally:
            log.close()

    for variable, file in secured.tls().items():
        monkeypatch.setenv(variable, file)
    assert reached() == (True, True)


@pytest.mark.parametrize(
    "shown",
    [
        lambda secured: None,
        lambda secured: issued(Authority(NOW), trusted(secured)),
        lambda secured: replace(issued(Authority(NOW), trusted(secured)), cert=b"", key=b""),
    ],
    ids=["in clear", "of another authority", "without a certificate"],
)
def test_who_has_no_certificate_of_the_authority_is_hung_up_on(
    callee: Callee, secured: Secured, shown: Callable[[Secured], Tls | None]
) -> None:
    before = len(callee.callers)
    with pytest.raises(Unreachable, match=r"can't be called: it hangs up.*RATCHET_TLS_CERT"):
        asked(callee.address, shown(secured))
    assert len(callee.callers) == before


def test_a_connection_that_is_reset_is_one_that_was_hung_up_on(secured: Secured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        resetting = threading.Thread(target=reset)
        resetting.start()
        with pytest.raises(Unreachable, match=r"can't be called: it hangs up"):
            asked(f"127.0.0.1:{server.getsockname()[1]}", Tls.load(secured.tls()))
        resetting.join()


def test_a_caller_whose_certificate_has_expired_is_hung_up_on() -> None:
    old, new = Authority(NOW - TWO_YEARS), Authority(NOW)
    both = pem(new.certificate) + pem(old.certificate)
    with serving(None, tls=issued(new, both, "127.0.0.1")) as callee:
        asked(callee.address, issued(new, both))
        with pytest.raises(Unreachable, match="it hangs up"):
            asked(callee.address, issued(old, both))


@pytest.mark.parametrize(
    ("made", "hosts", "why"),
    [
        (NOW, ("registry.example.org",), "not for the host that is called"),
        (NOW - TWO_YEARS, ("127.0.0.1",), "has expired"),
        (NOW, (), "that of a caller, not of a server"),
    ],
    ids=["another host", "expired", "a caller that poses as a server"],
)
def test_a_server_that_cannot_show_who_it_is_gets_no_call(made: datetime, hosts: tuple[str, ...], why: str) -> None:
    authority, other = Authority(made), Authority(NOW)
    both = pem(authority.certificate) + pem(other.certificate)
    with (
        serving(None, tls=issued(authority, both, *hosts)) as callee,
        pytest.raises(Unreachable, match=f"can't be called: its certificate .*{why}"),
    ):
        asked(callee.address, issued(other, both))


def test_a_server_of_another_authority_gets_no_call(callee: Callee) -> None:
    stranger = Authority(NOW)
    with pytest.raises(Unreachable, match="another authority than those of RATCHET_TLS_CA"):
        asked(callee.address, issued(stranger, pem(stranger.certificate)))


def test_a_server_in_clear_gets_no_call_under_tls(secured: Secured) -> None:
    with serving(None) as callee, pytest.raises(Unreachable, match="speaks without TLS"):
        asked(callee.address, Tls.load(secured.tls()))


def test_authorities_can_be_changed_one_process_at_a_time() -> None:
    old, new = Authority(NOW), Authority(NOW)
    both = pem(old.certificate) + pem(new.certificate)
    with serving(None, tls=issued(old, both, "127.0.0.1")) as callee:
        for authority, trust in ((old, both), (new, both), (old, pem(old.certificate))):
            asked(callee.address, issued(authority, trust))


def test_all_three_variables_are_set_or_none(secured: Secured) -> None:
    assert Tls.load({}) is None
    assert Credentials.load({"RATCHET_TLS_CERT": ""}) == Credentials()
    for variable in secured.tls():
        some = {key: file for key, file in secured.tls().items() if key != variable}
        with pytest.raises(InvalidInput, match=f"^{variable} missing: .*all three or none; .*ratchet certs"):
            Tls.load(some)


def swapped(secured: Secured, folder: Path, **files: bytes) -> dict[str, str]:
    """The variables of TLS with other contents in the files of cert, key or ca."""
    environ = secured.tls()
    for name, content in files.items():
        file = folder / name
        file.write_bytes(content)
        file.chmod(0o600)
        environ[f"RATCHET_TLS_{name.upper()}"] = str(file)
    return environ


OTHER = Authority(NOW)
OTHERS = issued(OTHER, pem(OTHER.certificate))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"cert": b"nonsense"}, "RATCHET_TLS_CERT: .*cert holds no certificate in PEM"),
        ({"ca": b""}, "RATCHET_TLS_CA: .*ca holds no certificate in PEM"),
        ({"key": b"nonsense"}, "RATCHET_TLS_KEY: .*key holds no private key in PEM"),
        ({"key": OTHERS.key}, "key is not the private key of .*client.pem"),
        ({"cert": OTHERS.cert, "key": OTHERS.key}, "cert was not issued by an authority of .*ca.pem"),
        ({"ca": OTHERS.ca}, "client.pem was not issued by an authority of .*ca"),
    ],
)
def test_files_that_do_not_fit_are_named_at_start(
    secured: Secured, tmp_path: Path, files: dict[str, bytes], why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        Tls.load(swapped(secured, tmp_path, **files))


def test_a_certificate_is_refused_before_and_after_its_time(secured: Secured) -> None:
    with pytest.raises(InvalidInput, match=r"RATCHET_TLS_CERT: .*client\.pem expired at 20.*ratchet certs"):
        Tls.load(secured.tls(), now=NOW + TWO_YEARS)
    with pytest.raises(InvalidInput, match=r"is valid from 20.* on; check this machine's clock"):
        Tls.load(secured.tls(), now=NOW - TWO_YEARS)


def test_an_authority_that_has_expired_is_refused(secured: Secured, tmp_path: Path) -> None:
    old = Authority(NOW - TWO_YEARS)
    old._to = NOW + TWO_YEARS
    certificate, key = old.issue("outlives its authority")
    with pytest.raises(InvalidInput, match=r"RATCHET_TLS_CA: .*ca expired at"):
        Tls.load(swapped(secured, tmp_path, cert=pem(certificate), key=private(key), ca=pem(old.certificate)))


def test_an_authority_that_has_expired_may_stand_beside_the_one_in_force(secured: Secured, tmp_path: Path) -> None:
    expired = pem(Authority(NOW - TWO_YEARS).certificate)
    assert Tls.load(swapped(secured, tmp_path, ca=expired + trusted(secured)))


@pytest.mark.parametrize("uses", [[], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]], ids=["nothing said", "any"])
def test_a_certificate_that_another_tool_made_for_any_use_serves(
    secured: Secured, tmp_path: Path, uses: list[ObjectIdentifier]
) -> None:
    authority, key = Authority(NOW), ec.generate_private_key(ec.SECP256R1())
    builder = authority._builder(x509.Name([]), key)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False) if uses else builder
    made = pem(builder.sign(authority.key, hashes.SHA256()))
    files = swapped(secured, tmp_path, cert=made, key=private(key), ca=pem(authority.certificate))
    assert Tls.load(files, serves=True)


def test_a_private_key_is_not_shown(secured: Secured) -> None:
    loaded = Tls.load(secured.tls())
    assert loaded is not None
    assert b"PRIVATE KEY" in loaded.key
    assert "PRIVATE KEY" not in repr(loaded) + repr(Credentials(loaded))


def test_a_file_that_is_not_there_is_named(secured: Secured) -> None:
    with pytest.raises(InvalidInput, match=r"RATCHET_TLS_KEY: /nowhere/client\.key can't be read \(No such file"):
        Tls.load({**secured.tls(), "RATCHET_TLS_KEY": "/nowhere/client.key"})


def test_a_key_that_everybody_may_read_is_refused(secured: Secured, tmp_path: Path) -> None:
    environ = swapped(secured, tmp_path, key=(secured.folder / "client.key").read_bytes())
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(NotAllowed, match="chmod 600"):
        Tls.load(environ)


@pytest.mark.parametrize("address", ["registry:7301", "10.0.0.1:7301", "[2001:db8::1]:7301", "127.0.0.1.example.org:1"])
def test_a_token_goes_to_another_machine_under_tls_alone(secured: Secured, address: str) -> None:
    token = secured.token["viewer"]
    with pytest.raises(PreconditionFailed, match="in clear; set RATCHET_TLS_CERT") as caught:
        Client(address, credentials=Credentials(None, token))
    assert token not in str(caught.value)
    Client(address, credentials=secured.credentials("viewer")).close()
    Client(address, credentials=Credentials()).close()


@pytest.mark.parametrize("address", ["127.0.0.1:7301", "localhost:7301", "[::1]:7301", "127.0.0.2:7301"])
def test_on_this_machine_a_token_may_go_in_clear(secured: Secured, address: str) -> None:
    Client(address, credentials=Credentials(None, secured.token["viewer"])).close()


@pytest.mark.parametrize("token", ["two words", "tab\there", "é", "x" * 600])
def test_what_no_header_carries_is_no_token(token: str) -> None:
    with pytest.raises(RatchetError, match="RATCHET_TOKEN is no token") as caught:
        Credentials.load({"RATCHET_TOKEN": token})
    assert token not in str(caught.value)


def test_a_line_end_after_a_token_does_no_harm() -> None:
    assert Credentials.load({"RATCHET_TOKEN": "abc\n"}).token == "abc"
