"""Settings from the environment and the command line; credentials only from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ratchet.client.credentials import FILE_VARIABLE, TLS_VARIABLES
from ratchet.client.endpoints import Endpoints, is_loopback
from ratchet.client.services import SERVICES
from ratchet.errors import InvalidInput


@dataclass(frozen=True)
class Settings:
    """The start-up settings of a service.

    log        sqlite:///path or postgresql://…      artifacts  file:///path or s3://bucket?endpoint=…
    workers    local:N or dask://host:port           endpoints  of the services that it calls
    signing_key  file of the key that signs checkpoints; None: signing.key in the home, made for a new log
    """

    service: str
    home: Path
    host: str
    port: int
    log: str = field(repr=False)
    artifacts: str
    workers: str
    endpoints: Endpoints
    signing_key: Path | None = None

    @classmethod
    def load(
        cls, service: str, home: Path, host: str, port: int | None, environ: Mapping[str, str] = os.environ
    ) -> Settings:
        home = home.resolve()
        port = SERVICES[service].port if port is None else port
        if not 0 <= port <= 65535:
            raise InvalidInput(f"port {port} is out of range; use 1 to 65535, or 0 for a free one")
        return cls(
            service=service,
            home=home,
            host=host,
            port=port,
            log=environ.get("RATCHET_LOG", f"sqlite:///{home / 'log.sqlite'}"),
            artifacts=environ.get("RATCHET_ARTIFACTS", (home / "artifacts").as_uri()),
            workers=environ.get("RATCHET_WORKERS", f"local:{min(2, os.cpu_count() or 1)}"),
            endpoints=Endpoints().overridden(environ),
            signing_key=Path(environ["RATCHET_SIGNING_KEY"]) if environ.get("RATCHET_SIGNING_KEY") else None,
        )


def require_loopback(host: str, insecure: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Refuses to listen beyond this machine without both TLS and tokens, unless `insecure`."""
    missing = [variable for variable in (*TLS_VARIABLES.values(), FILE_VARIABLE) if not environ.get(variable)]
    if missing and not insecure and not is_loopback(host):
        raise InvalidInput(
            f"--host {host} would let the network in without TLS and tokens ({', '.join(missing)} not set); set them up"
            " with ratchet certs and ratchet tokens add NAME --role ROLE, keep 127.0.0.1, or say --insecure"
        )
