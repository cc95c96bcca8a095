"""The gRPC server of every service: health, reflection, the layers around its calls, a clean stop."""

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
from ratchet.errors import PreconditionFailed
from services.platform.error_mapping import refusals
from services.platform.identity import Identity
from services.platform.interceptors import Layer, Layered
from services.platform.limits import DEFAULT_LIMITS, Limited, Limits
from services.platform.request_decoding import Arrival
from services.platform.settings import Settings
from services.platform.telemetry import Check, Sight
from services.platform.telemetry.checks import Checks
from services.platform.telemetry.health import Health
from services.platform.watchdog import Watchdog

log = logging.getLogger("ratchet.server")

GRACE_SECONDS = 10.0
"""For calls in flight when a service is told to stop."""

CLOSING_SECONDS = 5.0
"""For what is left then; a supervisor or an orchestrator must wait longer than for both before it kills."""


class Server:
    """One gRPC server: `add` the servicers, then `start`; `port` is the one that was bound.

    `layers` lie around its calls, the outermost first; around them all is its `sight`, inside of them all are its
    `limits`. With `tls` only callers whose certificate is of its authority get through.
    """

    def __init__(
        self,
        host: str,
        port: int,
        layers: Sequence[Layer] = (refusals,),
        limits: Limits = DEFAULT_LIMITS,
        tls: Tls | None = None,
        sight: Sight | None = None,
    ) -> None:
        self.sight = sight or Sight("server", host, {})
        watchdog = Watchdog()
        limited = Limited(limits, watchdog)
        self._server = grpc.server(
            futures.ThreadPoolExecutor(limits.threads, thread_name_prefix="grpc"),
            interceptors=[
                Layered((self.sight.observed.layer, *layers, limited)),
                Layered((refusals, limited), prefix="/grpc."),
                Arrival(limits, watchdog),
                self.sight.observed.interceptor,
            ],
            maximum_concurrent_rpcs=limits.concurrent_calls,
            options=(("grpc.so_reuseport", 0), *limits.options()),
        )
        self._names: list[str] = []
        self._before_stop: list[Callable[[], None]] = []
        self._checks: list[Check] = []
        self._checking: Checks | None = None
        self._health = Health(lambda: self.sight.url)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._host, self.port = host, port
        self._tls = tls

    def add(self, register: Callable[[Any, grpc.Server], None], servicer: Any, name: str) -> None:
        """Serve `servicer` under the service's full name, with the generated `add_…_to_server`."""
        register(servicer, self._server)
        self._names.append(name)

    def before_stop(self, act: Callable[[], None]) -> None:
        """`act` is called before open calls are waited for: it ends streams that would not end by themselves."""
        self._before_stop.append(act)

    def needs(self, *checks: Check) -> None:
        """The health service says NOT_SERVING while one of these does not pass; what it says is in sight/health.py."""
        self._checks += checks

    def start(self) -> None:
        """Returns when the port is open. The checks have a moment to pass before, so that nobody finds it unready."""
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            self.port = self._bound(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise PreconditionFailed(
                f"can't listen on {self._host}:{self.port}: the port is busy, or the host no address of this machine;"
                " stop the process that holds the port, or choose another --port or --host"
            ) from error
        self.sight.start()
        self._checking = Checks(self._checks, self._well, self.sight.untraced)
        self._checking.start()
        self._server.start()

    def _well(self, wrong: Mapping[str, str]) -> None:
        names = [check.name for check in self._checks]
        self._health.tell(self._names, names, wrong)
        for name in names:
            self.sight.metrics.dependency(name, name not in wrong)

    def _bound(self, address: str) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(address)
        shown = [(self._tls.key, self._tls.cert)]
        return self._server.add_secure_port(
            address, grpc.ssl_server_credentials(shown, root_certificates=self._tls.ca, require_client_auth=True)
        )

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Drain: NOT_SERVING, no further call, streams ended; calls in flight get `grace` seconds, then UNAVAILABLE."""
        self._health.enter_graceful_shutdown()
        if self._checking is not None:
            self._checking.close()
        for act in self._before_stop:
            act()
        self._server.stop(grace).wait()
        self.sight.close()


def open_server(settings: Settings) -> Server:
    """The server of a service, not started yet, with every layer that its settings ask for."""
    identity = Identity.load()
    if identity is not None and settings.service != "registry":
        identity.require_service(settings.service)
    layers: tuple[Layer, ...] = (refusals,) if identity is None else (refusals, identity)
    sight = Sight(settings.service, settings.host)
    return Server(settings.host, settings.port, layers, limits=Limits.load(), tls=Tls.load(serves=True), sight=sight)


def run(
    name: str,
    server: Server,
    closers: Sequence[Callable[[], None]] = (),
    grace: float = GRACE_SECONDS,
    closing: float = CLOSING_SECONDS,
) -> None:
    """Serve until SIGINT or SIGTERM; then drain and close.

    A second signal ends the process at once, with 128 and its number; so does, with 1, what still runs `closing`
    seconds after the grace. Nothing is lost by either: a service may be killed at any moment.
    """
    stopped = threading.Event()

    def told(number: int, _: object) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, told)
    server.start()
    log.info("%s listens on port %d, process %d", name, server.port, os.getpid())
    while not stopped.wait(1.0):
        pass
    _exit_after(grace + closing)
    server.stop(grace)
    for close in closers:
        close()


def _exit_after(seconds: float) -> None:
    """End this process then if it has not ended: a thread that runs on would keep it."""

    def give_up() -> None:
        log.error("not stopped within %.0f s: exiting as it is", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
