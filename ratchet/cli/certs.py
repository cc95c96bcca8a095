"""ratchet certs: a private certificate authority, and certificates of services and callers, for mutual TLS."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ratchet.cli.connect import DEFAULT_HOME
from ratchet.cli.output import home_option, output_option, show
from ratchet.client.credentials import TLS_VARIABLES
from ratchet.errors import InvalidInput, NotAllowed, PreconditionFailed

FOLDER_NAME = "tls"
DAYS = 365
LOCAL = ("localhost", "127.0.0.1", "::1")
CLOCK_SKEW = timedelta(minutes=5)
"""Tolerated clock skew: a new certificate is already valid on a machine with a slower clock."""
HOST_NAME = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")


class Authority:
    """Issues certificates on EC P-256, valid for `days` from `now` on, like its own."""

    def __init__(self, now: datetime, days: int = DAYS) -> None:
        self._from, self._to = now - CLOCK_SKEW, now + timedelta(days=days)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Ratchet authority of {now:%Y-%m-%d %H:%M}")])
        builder = self._builder(self._name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate = builder.sign(self.key, hashes.SHA256())

    def issue(self, name: str, hosts: Sequence[str] = ()) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Issues a server certificate for `hosts`, usable as a client too; without hosts, a client certificate only.

        InvalidInput for a host that is neither a name nor an address.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = (
            self._builder(subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_subject(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256()), key

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._from)
            .not_valid_after(self._to)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )


def write_certificates(folder: Path, hosts: Sequence[str], now: datetime) -> None:
    """Writes the certificates and keys of an authority, the services and a caller to `folder`. PreconditionFailed if a
    file exists."""
    authority = Authority(now)
    made = {
        "ca": (authority.certificate, authority.key),
        "server": authority.issue("Ratchet services", (*LOCAL, *hosts)),
        "client": authority.issue("Ratchet caller"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if known := [file for name in made for file in _pair(folder, name) if file.exists()]:
            raise PreconditionFailed(
                f"{known[0]} is there, and nothing is overwritten; name another folder: ratchet certs DIR"
            )
        for name, (certificate, key) in made.items():
            certificate_path, key_path = _pair(folder, name)
            _write(certificate_path, certificate.public_bytes(Encoding.PEM), 0o644)
            _write(key_path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    except OSError as error:
        raise NotAllowed(
            f"{folder} can't be written to: {error.strerror}; name another folder: ratchet certs DIR"
        ) from (error)


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option(
    "--host", "hosts", metavar="NAME", multiple=True, help="A name or address of the services, besides localhost."
)
@home_option
@output_option
def certs(folder: Path | None, hosts: tuple[str, ...], home: str | None, output: str) -> None:
    """Make the certificates of mutual TLS, for a year, in DIR  [default: tls in the home].

    Prints what the services export. Keep ca.key away from them: whoever has it can make more certificates.
    """
    chosen = (folder or Path(home or DEFAULT_HOME) / FOLDER_NAME).absolute()
    write_certificates(chosen, hosts, datetime.now(UTC))
    exports = {name: _exports(chosen, name) for name in ("server", "client")}
    show(exports, output, lambda found: click.echo("\n".join(_lines(found["server"]))))
    click.echo("callers elsewhere get ca.pem, client.pem and client.key, and export:", err=True)
    click.echo("\n".join(_lines(exports["client"])), err=True)


def _exports(folder: Path, name: str) -> dict[str, str]:
    certificate_path, key_path = _pair(folder, name)
    files = {"cert": certificate_path, "key": key_path, "ca": _pair(folder, "ca")[0]}
    return {variable: str(files[what]) for what, variable in TLS_VARIABLES.items()}


def _lines(exports: dict[str, str]) -> list[str]:
    return [f"export {variable}={shlex.quote(file)}" for variable, file in exports.items()]


def _pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.pem", folder / f"{name}.key"


def _write(file: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        opened.write(content)


def _subject(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not HOST_NAME.fullmatch(host):
            raise InvalidInput(
                f"--host {host!r} is neither a name nor an address; write it as registry.example.org, without a port",
                fields={"host": "not a host"},
            ) from None
        return x509.DNSName(host)
