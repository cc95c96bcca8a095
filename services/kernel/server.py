"""The gRPC server of every service: health, reflection, the layers around its calls, a clean stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ratchet.errors import PreconditionFailed
from ratchet.transport import MESSAGE_LIMIT
from services.kernel.calls import Layer, Layered
from services.kernel.refusals import refusals
from services.kernel.settings import Settings

log = logging.getLogger("ratchet.server")


class Server:
    """One gRPC server: `add` the servicers, then `start`; `port` is the one that was bound."""

    def __init__(
        self, host: str, port: int, layers: Sequence[Layer] = (refusals,), threads: int = 32, concurrent: int = 256
    ) -> None:
        self._server = grpc.server(
            futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            interceptors=[Layered(layers)],
            maximum_concurrent_rpcs=concurrent,
            options=(
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MESSAGE_LIMIT),
                ("grpc.max_send_message_length", MESSAGE_LIMIT),
            ),
        )
        self._names: list[str] = []
        self._before_stop: list[Callable[[], None]] = []
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._host, self.port = host, port

    def add(self, register: Callable[[Any, grpc.Server], None], servicer: Any, name: str) -> None:
        """Serve `servicer` under the service's full name, with the generated `add_…_to_server`."""
        register(servicer, self._server)
        self._names.append(name)

    def before_stop(self, act: Callable[[], None]) -> None:
        """`act` is called before open calls are waited for: it ends streams that would not end by themselves."""
        self._before_stop.append(act)

    def start(self) -> None:
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            self.port = self._server.add_insecure_port(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise PreconditionFailed(
                f"can't listen on {self._host}:{self.port}: the port is busy, or the host no address of this machine;"
                " stop the process that holds the port, or choose another --port or --host"
            ) from error
        self._server.start()
        for name in ("", *self._names):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace: float = 5.0) -> None:
        self._health.enter_graceful_shutdown()
        for act in self._before_stop:
            act()
        self._server.stop(grace).wait()


def open_server(settings: Settings) -> Server:
    """The server of a service, not started yet, with every layer that its settings ask for."""
    return Server(settings.host, settings.port, layers=(refusals,))


def run(name: str, server: Server, closers: Sequence[Callable[[], None]] = ()) -> None:
    """Serve until SIGINT or SIGTERM; then drain and close."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    server.start()
    log.info("%s listens on port %d, process %d", name, server.port, os.getpid())
    while not stopped.wait(1.0):
        pass
    server.stop()
    for close in closers:
        close()
