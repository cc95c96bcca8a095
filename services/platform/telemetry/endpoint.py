"""The endpoint of /metrics: RATCHET_METRICS, or RATCHET_METRICS_REGISTRY and so on for one of several services."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from ratchet.client.credentials import TLS_VARIABLES
from ratchet.client.endpoints import is_loopback
from ratchet.errors import InvalidInput, PreconditionFailed

VARIABLE = "RATCHET_METRICS"


@dataclass(frozen=True)
class MetricsAddress:
    """`tls`: certificate, key and CA of mutual TLS, as PEM files."""

    host: str
    port: int
    tls: tuple[str, str, str] | None = None

    @classmethod
    def load(cls, service: str, service_host: str, environ: Mapping[str, str] = os.environ) -> MetricsAddress | None:
        """Parses the settings; None without metrics.

        InvalidInput for anything but host:port, and for a host beyond this machine while the service itself listens on
        loopback: RATCHET_METRICS alone opens nothing. Beyond this machine the metrics have the service's mutual TLS, if
        any.
        """
        own = f"{VARIABLE}_{service.upper()}"
        name = own if own in environ else VARIABLE
        if not (text := environ.get(name, "")):
            return None
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise InvalidInput(
                f"{name} is {text!r}; write it as host:port, such as 127.0.0.1:9301, with port 0 for a free one"
            )
        if is_loopback(host):
            return cls(host, int(port))
        if is_loopback(service_host):
            raise InvalidInput(
                f"{name}={text} would let the network in, and the {service} listens on {service_host} alone; keep"
                f" 127.0.0.1:{port}, or serve beyond this machine with --host"
            )
        cert, key, ca = (environ.get(TLS_VARIABLES[name], "") for name in ("cert", "key", "ca"))
        return cls(host, int(port), (cert, key, ca) if cert and key and ca else None)


class MetricsEndpoint:
    """Serves `registry` at http://host:port/metrics; `port` is the bound port."""

    def __init__(self, address: MetricsAddress, registry: CollectorRegistry) -> None:
        cert, key, ca = address.tls or (None, None, None)
        try:
            self._server: WSGIServer
            self._server, self._thread = start_http_server(
                address.port,
                address.host,
                registry,
                certfile=cert,
                keyfile=key,
                client_cafile=ca,
                client_auth_required=ca is not None,
            )
        except OSError as error:
            raise PreconditionFailed(
                f"can't serve metrics on {address.host}:{address.port}: {error.strerror or error}; services on one"
                f" machine need a port each: set {VARIABLE}_REGISTRY, {VARIABLE}_KNOWLEDGE and so on, or"
                f" {VARIABLE}={address.host}:0 for free ones"
            ) from error
        self.port = int(self._server.server_port)
        self.url = f"{'https' if ca else 'http'}://{address.host}:{self.port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
