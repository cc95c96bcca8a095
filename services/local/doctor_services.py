"""ratchet doctor, checks of the services: health, version, clock and metrics."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import ssl
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from ratchet.cli.connect import DEFAULT_HOME, command_line
from ratchet.client.channel import open_channel
from ratchet.client.credentials import TLS_VARIABLES, Credentials, Tls
from ratchet.client.endpoints import Endpoints, is_loopback
from ratchet.client.health import LIVE, HealthStatus, check_health
from ratchet.client.services import SERVICES
from ratchet.errors import PreconditionFailed
from services.local import ports
from services.local.doctor_check import CheckResult, check_result

HEALTH_SECONDS = 2.0
MAX_SKEW = 2.0
"""Maximum clock skew in seconds; beyond it, times of facts and expiries of tokens are unreliable."""


def services(home: str | None, endpoints: Endpoints) -> Iterator[CheckResult]:
    """Checks of each service; a single one for a service without an answer."""
    here = importlib.metadata.version("ratchet-models")
    for service, address in asdict(endpoints).items():
        try:
            with open_channel(address, Credentials(Tls.load())) as channel:
                began = time.time()
                live = check_health(channel, LIVE, HEALTH_SECONDS)
                skew = live.time - (began + time.time()) / 2
                yield _ready(home, service, address, check_health(channel, "", HEALTH_SECONDS))
                yield from _dependency_checks(home, service, channel)
        except grpc.RpcError:
            yield _unreachable(home, service, address)
            continue
        install = f"pip install 'ratchet-models[server]=={live.version}'"
        yield check_result(f"{service} version", live.version == here, f"{live.version} there, {here} here", install)
        found = f"{abs(skew):.3f} s {'ahead of' if skew > 0 else 'behind'} this one"
        yield check_result(f"{service} clock", abs(skew) < MAX_SKEW, found, "sudo timedatectl set-ntp true")
        if live.metrics:
            yield _metrics(service, address, live.metrics)


def _ready(home: str | None, service: str, address: str, answer: HealthStatus) -> CheckResult:
    found = f"serving at {address}" if answer.serving else f"not ready at {address}: {answer.wrong}"
    return check_result(service, answer.serving, found, _log_of(home, service))


def _dependency_checks(home: str | None, service: str, channel: grpc.Channel) -> Iterator[CheckResult]:
    for name in SERVICES[service].checks:
        try:
            answer = check_health(channel, name, HEALTH_SECONDS)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.NOT_FOUND:
                continue
            raise
        found = "answers" if answer.serving else answer.wrong
        yield check_result(f"{service}: its {name}", answer.serving, found, _log_of(home, service))


def _log_of(home: str | None, service: str) -> str:
    """The command that shows a service's log."""
    log = Path(home or DEFAULT_HOME) / "logs" / f"{service}.log"
    return shlex.join(["tail", "-n", "50", str(log)]) if log.exists() else command_line(home, "doctor", "-o", "json")


def _unreachable(home: str | None, service: str, address: str) -> CheckResult:
    start = command_line(home, "up")
    host, _, port = address.rpartition(":")
    if is_loopback(host) and port.isdecimal() and _is_held(int(port)):
        found = f"no answer at {address}, whose port is held by {ports.port_owner(int(port))}"
        return check_result(service, False, found, command_line(home, "up", "--port-base", "0"))
    return check_result(service, False, f"no answer at {address}", start)


def _is_held(port: int) -> bool:
    try:
        return not ports.is_free(port)
    except (PreconditionFailed, OverflowError):
        return False


def _metrics(service: str, address: str, url: str) -> CheckResult:
    """Requests the metrics at the service's address, because the service may listen on all addresses."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("0.0.0.0", "::"):
        url = parts._replace(netloc=f"{address.rpartition(':')[0]}:{parts.port}").geturl()
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_SECONDS, context=_tls(url)) as answer:
            count = sum(line.startswith(b"# TYPE") for line in answer.read().splitlines())
    except OSError as error:
        return check_result(f"{service} metrics", False, f"{url}: {error}", f"curl --silent --show-error {url}")
    return check_result(f"{service} metrics", count > 0, f"{count} at {url}", f"curl --silent --show-error {url}")


def _tls(url: str) -> ssl.SSLContext | None:
    if not url.startswith("https:"):
        return None
    files = {name: os.environ.get(variable, "") for name, variable in TLS_VARIABLES.items()}
    if not all(files.values()):
        return None
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(files["cert"], files["key"])
    return context
