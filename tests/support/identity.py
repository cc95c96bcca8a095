"""Certificates and tokens, made once for all tests as `ratchet certs` and `ratchet tokens` make them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ratchet.cli.certs import Authority, write_certificates
from ratchet.client.credentials import FILE_VARIABLE, TLS_VARIABLES, TOKEN_VARIABLE, Credentials, Tls
from ratchet.client.services import SERVICES
from services.platform.identity import token_file
from services.platform.identity.token_file import Role

OWNERS: Mapping[Role, str] = {
    "viewer": "vera",
    "trainer": "tom",
    "promoter": "pia",
    "admin": "ada",
    "service:trainer": "trainer",
    "service:knowledge": "knowledge",
}
"""Who has the token of each role."""


@dataclass(frozen=True)
class Secured:
    """A folder with certificates and a file of tokens; `token` has the token of each role."""

    folder: Path
    token: Mapping[Role, str]

    @property
    def file(self) -> Path:
        return self.folder / token_file.FILE_NAME

    def tls(self, name: str = "client") -> dict[str, str]:
        """The variables of TLS for `client` or `server`."""
        files = {"cert": f"{name}.pem", "key": f"{name}.key", "ca": "ca.pem"}
        return {variable: str(self.folder / files[what]) for what, variable in TLS_VARIABLES.items()}

    def caller(self, role: Role) -> dict[str, str]:
        """The environment of a caller."""
        return {**self.tls(), TOKEN_VARIABLE: self.token[role]}

    def services(self) -> dict[str, str]:
        """The environment that the services share."""
        return {**self.tls("server"), FILE_VARIABLE: str(self.file), **self._tokens()}

    def service(self, name: str) -> dict[str, str]:
        """The environment of one service that calls others."""
        return {**self.services(), TOKEN_VARIABLE: self._tokens()[f"{TOKEN_VARIABLE}_{name.upper()}"]}

    def _tokens(self) -> dict[str, str]:
        called = [service for service in SERVICES.values() if service.role]
        return {f"{TOKEN_VARIABLE}_{service.name.upper()}": self.token[service.role] for service in called}

    def credentials(self, role: Role) -> Credentials:
        return Credentials.load(self.caller(role))


def made(folder: Path) -> Secured:
    """A first set-up in `folder`."""
    now = datetime.now(UTC)
    write_certificates(folder, (), now)
    file = folder / token_file.FILE_NAME
    return Secured(folder, {role: token_file.add(file, name, role, now)[0] for role, name in OWNERS.items()})


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def issued(authority: Authority, trusted: bytes, *hosts: str) -> Tls:
    """What `authority` issues, for one who trusts the certificates of `trusted`: unchecked, as Tls.load would not."""
    certificate, key = authority.issue("test", hosts)
    return Tls(pem(certificate), private(key), trusted)


def private(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    """Shared by all: whoever changes the file of tokens makes one of their own."""
    return made(tmp_path_factory.mktemp("secured"))
