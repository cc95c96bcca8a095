"""The gRPC server of every service: health, reflection, interceptors, graceful shutdown."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ratchet.client.credentials import Tls
from ratchet.client.services import SERVICES
from ratchet.errors import PreconditionFailed
from services.platform.error_mapping import map_errors
from services.platform.identity import Identity
from services.platform.interceptors import Interceptor, InterceptorChain
from services.platform.limits import DEFAULT_LIMITS, ConcurrencyLimiter, Limits
from services.platform.request_decoding import RequestDecoder
from services.platform.settings import Settings
from services.platform.telemetry import Check, Telemetry
from services.platform.telemetry.checks import HealthChecks
from services.platform.telemetry.health import Health
from services.platform.watchdog import Watchdog

log = logging.getLogger("ratchet.server")

GRACE_SECONDS = 10.0
"""For running calls after a stop signal."""

CLOSING_SECONDS = 5.0
"""For closing after the grace; a supervisor must wait longer than both before it kills."""


class Server:
    """One gRPC server: `add` the servicers, then `start`; `port` is the bound port.

    `interceptors` run around its calls, the outermost first; `telemetry` runs outside of them, `limits` inside of them.
    With `tls` only callers with a certificate of its authority connect.
    """

    def __init__(
        self,
        host: str,
        port: int,
        interceptors: Sequence[Interceptor] = (map_errors,),
        limits: Limits = DEFAULT_LIMITS,
        tls: Tls | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.telemetry = telemetry or Telemetry("server", host, {})
        watchdog = Watchdog()
        limiter = ConcurrencyLimiter(limits, watchdog)
        self._server = grpc.server(
            futures.ThreadPoolExecutor(limits.threads, thread_name_prefix="grpc"),
            interceptors=[
                InterceptorChain((self.telemetry.observed.interceptor, *interceptors, limiter)),
                InterceptorChain((map_errors, limiter), prefix="/grpc."),
                RequestDecoder(limits, watchdog),
                self.telemetry.observed.request_observer,
            ],
            maximum_concurrent_rpcs=limits.concurrent_calls,
            options=(("grpc.so_reuseport", 0), *limits.options()),
        )
        self._names: list[str] = []
        self._before_stop: list[Callable[[], None]] = []
        self._checks: list[Check] = []
        self._health_checks: HealthChecks | None = None
        self._health = Health(lambda: self.telemetry.url)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._host, self.port = host, port
        self._tls = tls

    def add(self, register: Callable[[Any, grpc.Server], None], servicer: Any, name: str) -> None:
        """Serves `servicer` under the service's full name, with the generated `add_…_to_server`."""
        register(servicer, self._server)
        self._names.append(name)

    def before_stop(self, act: Callable[[], None]) -> None:
        """Registers `act` to run before open calls are drained, for example to end endless streams."""
        self._before_stop.append(act)

    def needs(self, *checks: Check) -> None:
        """Adds health checks: the health service says NOT_SERVING while one fails; see telemetry/health.py."""
        self._checks += checks

    def start(self) -> None:
        """Opens the port. The checks get a moment to pass before, so that a healthy service is ready at once."""
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            self.port = self._bound(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise PreconditionFailed(
                f"can't listen on {self._host}:{self.port}: the port is busy, or the host no address of this machine;"
                " stop the process that holds the port, or choose another --port or --host"
            ) from error
        self.telemetry.start()
        self._health_checks = HealthChecks(self._checks, self._report_health, self.telemetry.untraced)
        self._health_checks.start()
        self._server.start()

    def _report_health(self, failing: Mapping[str, str]) -> None:
        names = [check.name for check in self._checks]
        self._health.update(self._names, names, failing)
        for name in names:
            self.telemetry.metrics.dependency(name, name not in failing)

    def _bound(self, address: str) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(address)
        shown = [(self._tls.key, self._tls.cert)]
        return self._server.add_secure_port(
            address, grpc.ssl_server_credentials(shown, root_certificates=self._tls.ca, require_client_auth=True)
        )

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Drains: NOT_SERVING, no new calls, streams ended; running calls get `grace` seconds, then UNAVAILABLE."""
        self._health.enter_graceful_shutdown()
        if self._health_checks is not None:
            self._health_checks.close()
        for act in self._before_stop:
            act()
        self._server.stop(grace).wait()
        self.telemetry.close()


def open_server(settings: Settings) -> Server:
    """The server of a service, not started yet, with the interceptors of its settings."""
    identity = Identity.load()
    if identity is not None and SERVICES[settings.service].role:
        identity.require_service(settings.service)
    interceptors: tuple[Interceptor, ...] = (map_errors,) if identity is None else (map_errors, identity)
    telemetry = Telemetry(settings.service, settings.host)
    return Server(
        settings.host, settings.port, interceptors, limits=Limits.load(), tls=Tls.load(serves=True), telemetry=telemetry
    )


def run(
    name: str,
    server: Server,
    closers: Sequence[Callable[[], None]] = (),
    grace: float = GRACE_SECONDS,
    closing: float = CLOSING_SECONDS,
) -> None:
    """Serves until SIGINT or SIGTERM; then drains and closes.

    A second signal ends the process at once with 128 plus its number; a process still running `closing` seconds after
    the grace ends with 1. Nothing is lost: a service may be killed at any moment.
    """
    stopped = threading.Event()

    def on_signal(number: int, _: object) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    server.start()
    log.info("%s listens on port %d, process %d", name, server.port, os.getpid())
    while not stopped.wait(1.0):
        pass
    _exit_after(grace + closing)
    server.stop(grace)
    for close in closers:
        close()


def _exit_after(seconds: float) -> None:
    """Ends this process after `seconds`, even if a thread is still running."""

    def give_up() -> None:
        log.error("not stopped within %.0f s: exiting as it is", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
