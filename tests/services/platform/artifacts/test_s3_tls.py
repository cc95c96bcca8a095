"""TLS to an S3 store, and what is said when one side speaks it and the other does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ratchet.errors import InvalidInput, Unreachable
from services.platform.artifacts import ArtifactStore, open_store
from services.platform.artifacts.credentials import CERTIFICATES
from tests.support.faulty_proxy import Link, flip_request
from tests.support.object_store import Endpoint, Seaweed, free_ports
from tests.support.waiting import until


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and the certificate for 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "store.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def guarded(seaweed: Endpoint, certificate: Path) -> Iterator[Link]:
    with Link(seaweed.endpoint, certificate) as between:
        yield between


def opened(seaweed: Endpoint, endpoint: str, **environ: str) -> ArtifactStore:
    url = f"s3://{seaweed.bucket('tls')}?endpoint={endpoint}&region={seaweed.region}"
    return open_store(url, {**seaweed.environ(), **environ})


def test_a_store_is_used_under_tls(seaweed: Endpoint, guarded: Link, certificate: Path) -> None:
    store = opened(seaweed, guarded.endpoint, SSL_CERT_FILE=str(certificate))
    assert store.get(store.put(b"content")) == b"content"


def test_a_transfer_that_broke_is_refused_under_tls_too(seaweed: Endpoint, guarded: Link, certificate: Path) -> None:
    store = opened(seaweed, guarded.endpoint, SSL_CERT_FILE=str(certificate))
    store.put(b"makes the bucket")
    guarded.spoil("PUT", [flip_request])
    assert store.get(store.put(b"arrives whole")) == b"arrives whole"


def test_a_certificate_of_nobody_we_know_is_refused_at_once(seaweed: Endpoint, guarded: Link) -> None:
    with pytest.raises(Unreachable, match=rf"certificate of {guarded.endpoint} is not trusted: .*{CERTIFICATES}"):
        opened(seaweed, guarded.endpoint).put(b"content")
    assert guarded.accepted == 1


def test_https_to_a_plain_store_is_said(seaweed: Endpoint, link: Link) -> None:
    endpoint = link.endpoint.replace("http", "https")
    with pytest.raises(Unreachable, match=f"plain HTTP, write endpoint={link.endpoint} in the store's URL"):
        opened(seaweed, endpoint).put(b"content")


@pytest.mark.slow
def test_http_to_a_store_under_tls_is_said(certificate: Path, tmp_path: Path) -> None:
    server = Seaweed()
    (port,) = free_ports(1)
    try:
        server.start(tmp_path, f"-s3.port.https={port}", f"-s3.cert.file={certificate}", f"-s3.key.file={certificate}")
        assert until(lambda: listens(port))
        url = f"127.0.0.1:{port}"
        with pytest.raises(Unreachable, match=f"serves TLS; write endpoint=https://{url} in the store's URL"):
            opened(server, f"http://{url}").put(b"content")
        store = opened(server, f"https://{url}", SSL_CERT_FILE=str(certificate))
        assert store.get(store.put(b"content")) == b"content"
    finally:
        server.stop()


def test_a_missing_file_of_authorities_is_named(seaweed: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"{CERTIFICATES} is {tmp_path}/none.pem, where no file is"):
        opened(seaweed, "https://127.0.0.1:1", SSL_CERT_FILE=str(tmp_path / "none.pem"))
