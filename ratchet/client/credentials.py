"""Credentials of a process: its certificate (mutual TLS) and its bearer token; from the environment only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.client.endpoints import is_loopback
from ratchet.errors import InvalidInput, NotAllowed, PreconditionFailed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

TLS_VARIABLES = {"cert": "RATCHET_TLS_CERT", "key": "RATCHET_TLS_KEY", "ca": "RATCHET_TLS_CA"}
TOKEN_VARIABLE = "RATCHET_TOKEN"
FILE_VARIABLE = "RATCHET_TOKENS"
"""Variable with a service's token file; see docs/security.md."""
NO_IDENTITY = dict.fromkeys((*TLS_VARIABLES.values(), TOKEN_VARIABLE, FILE_VARIABLE), "")
"""Environment without credentials, for services on loopback that only their parent process calls."""
TOKEN_FORM = re.compile(r"[\x21-\x7e]{1,512}")
"""Form of a token: printable ASCII without spaces."""


@dataclass(frozen=True)
class Tls:
    """PEM bytes: a certificate (the leaf first, then intermediates), its private key, and the trusted authorities."""

    cert: bytes
    key: bytes = field(repr=False)
    ca: bytes

    @classmethod
    def load(
        cls, environ: Mapping[str, str] = os.environ, now: datetime | None = None, serves: bool = False
    ) -> Tls | None:
        """Loads the files of RATCHET_TLS_CERT, _KEY and _CA; None if none is set. `serves`: for a server.

        InvalidInput for a missing variable or an unusable file, with the cause.
        """
        files = {name: Path(environ[variable]) for name, variable in TLS_VARIABLES.items() if environ.get(variable)}
        if not files:
            return None
        if missing := [variable for name, variable in TLS_VARIABLES.items() if name not in files]:
            raise InvalidInput(
                f"{' and '.join(missing)} missing: TLS needs {', '.join(TLS_VARIABLES.values())}, all three or none;"
                " make the files with ratchet certs"
            )
        made = cls(**{name: _read(TLS_VARIABLES[name], file) for name, file in files.items()})
        if files["key"].stat().st_mode & 0o007:
            raise NotAllowed(f"everybody may use the private key {files['key']}; run: chmod 600 {files['key']}")
        _check(made, files, now or datetime.now(UTC))
        if serves and not _is_server_certificate(made.cert):
            raise InvalidInput(
                f"{TLS_VARIABLES['cert']}: {files['cert']} is the certificate of a caller; a service needs that of a"
                " server, such as server.pem of ratchet certs"
            )
        return made


@dataclass(frozen=True)
class Credentials:
    """Credentials of a caller; empty: plaintext and anonymous."""

    tls: Tls | None = None
    token: str = field(default="", repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Credentials:
        """Loads RATCHET_TLS_CERT, _KEY, _CA and RATCHET_TOKEN. InvalidInput for invalid ones."""
        token = environ.get(TOKEN_VARIABLE, "").strip()
        if token and not TOKEN_FORM.fullmatch(token):
            raise InvalidInput(f"{TOKEN_VARIABLE} is no token: it has spaces, signs beyond ASCII, or is too long")
        return cls(Tls.load(environ), token)

    def require_encrypted(self, address: str) -> None:
        """PreconditionFailed for a token without TLS to another machine."""
        if self.token and self.tls is None and not is_loopback(address.rpartition(":")[0]):
            raise PreconditionFailed(
                f"{TOKEN_VARIABLE} would be sent to {address} in clear; set {', '.join(TLS_VARIABLES.values())}"
                f" (ratchet certs makes the files), or unset {TOKEN_VARIABLE}"
            )


def _read(variable: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{variable}: {file} can't be read ({error.strerror}); ratchet certs makes it") from error


def _check(tls: Tls, files: Mapping[str, Path], now: datetime) -> None:
    """InvalidInput for certificates that would fail the handshake: no PEM, another key, another authority, expired."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    chain, trusted = _certificates("cert", tls.cert, files), _certificates("ca", tls.ca, files)
    try:
        key = load_pem_private_key(tls.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(
            f"{TLS_VARIABLES['key']}: {files['key']} holds no private key in PEM without a password"
        ) from error
    if key.public_key() != chain[0].public_key():
        raise InvalidInput(
            f"{files['key']} is not the private key of {files['cert']}; set {TLS_VARIABLES['key']} and"
            f" {TLS_VARIABLES['cert']} to files that were made together"
        )
    if not any(_is_issued_by(certificate, authority) for certificate in chain for authority in trusted):
        raise InvalidInput(
            f"{files['cert']} was not issued by an authority of {files['ca']}; set {TLS_VARIABLES['ca']} to the file"
            " with the one that issued it"
        )
    for name, certificate in (("cert", chain[0]), ("ca", max(trusted, key=lambda each: each.not_valid_after_utc))):
        if now > certificate.not_valid_after_utc:
            ended = certificate.not_valid_after_utc.isoformat()
            raise InvalidInput(f"{TLS_VARIABLES[name]}: {files[name]} expired at {ended}; make new ones: ratchet certs")
        if now < certificate.not_valid_before_utc:
            begins = certificate.not_valid_before_utc.isoformat()
            raise InvalidInput(
                f"{TLS_VARIABLES[name]}: {files[name]} is valid from {begins} on; check this machine's clock"
            )


def _certificates(name: str, content: bytes, files: Mapping[str, Path]) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(content)
    except ValueError as error:
        raise InvalidInput(f"{TLS_VARIABLES[name]}: {files[name]} holds no certificate in PEM") from error


def _is_server_certificate(cert: bytes) -> bool:
    """Whether the certificate permits server authentication, explicitly or without an extended key usage."""
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound, load_pem_x509_certificate
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        uses = load_pem_x509_certificate(cert).extensions.get_extension_for_class(ExtendedKeyUsage).value
    except ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses


def _is_issued_by(certificate: Certificate, authority: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
