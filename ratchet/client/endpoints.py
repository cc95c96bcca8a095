"""Addresses of the services, and their file in a home folder."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ratchet.atomic_file import write_atomically
from ratchet.client.services import SERVICES
from ratchet.errors import NotFound

FILE_NAME = "endpoints.json"
ENVIRONMENT = {name: service.variable for name, service in SERVICES.items()}


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _default(service: str) -> str:
    return f"127.0.0.1:{SERVICES[service].port}"


@dataclass(frozen=True)
class Endpoints:
    """The address (host:port) of each service; by default those of `ratchet up` and `ratchet serve`."""

    registry: str = _default("registry")
    knowledge: str = _default("knowledge")
    trainer: str = _default("trainer")
    predictor: str = _default("predictor")

    @classmethod
    def of_ports(cls, ports: Sequence[int], host: str = "127.0.0.1") -> Endpoints:
        """One port for each service, in the order of SERVICES."""
        return cls(**{name: f"{host}:{port}" for name, port in zip(SERVICES, ports, strict=True)})

    @classmethod
    def read(cls, home: Path) -> Endpoints:
        """Reads the file of `ratchet up` in `home`; NotFound without running services."""
        file = home / FILE_NAME
        try:
            written = json.loads(file.read_text(encoding="utf-8"))
            return cls(**{service: str(written[service]) for service in ENVIRONMENT})
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"no services run on {home}: {file} is not there; start them with ratchet up") from None
        except (ValueError, KeyError, TypeError) as error:
            raise NotFound(f"{file} names no addresses ({error}); stop ratchet up and start it again") from error

    def write(self, home: Path) -> Path:
        """Writes the file atomically."""
        write_atomically(home / FILE_NAME, json.dumps(asdict(self), indent=2))
        return home / FILE_NAME

    def overridden(self, environ: Mapping[str, str]) -> Endpoints:
        """These endpoints, overridden by the addresses in the environment."""
        return replace(self, **{name: environ[key] for name, key in ENVIRONMENT.items() if environ.get(key)})
