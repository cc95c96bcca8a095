"""The gRPC server of every service: limits, health, reflection, errors, a clean stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from ratchet.errors import Internal, PreconditionFailed
from ratchet.errors import RatchetError as Refusal
from ratchet.status import to_status
from ratchet.transport import ACTOR_KEY, CORRELATION_KEY, MESSAGE_LIMIT

log = logging.getLogger("ratchet.server")


@dataclass(frozen=True)
class Caller:
    """Who calls, and for what: taken from the call's metadata."""

    actor: str
    correlation_id: str

    @classmethod
    def of(cls, context: grpc.ServicerContext) -> Caller:
        sent = {str(key): str(value) for key, value in context.invocation_metadata()}
        return cls(sent.get(ACTOR_KEY, "anonymous")[:128], sent.get(CORRELATION_KEY, "")[:128])


class ErrorInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """Turns a RatchetError into its status, and anything else into INTERNAL with an id and no text of its own."""

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or not details.method.startswith("/ratchet."):
            return handler
        if handler.response_streaming:
            wrapped: Any = _guard_stream(handler.unary_stream or handler.stream_stream, details.method)
            make = grpc.stream_stream_rpc_method_handler if handler.request_streaming else None
            make = make or grpc.unary_stream_rpc_method_handler
        else:
            wrapped = _guard_unary(handler.unary_unary or handler.stream_unary, details.method)
            make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else None
            make = make or grpc.unary_unary_rpc_method_handler
        return make(wrapped, handler.request_deserializer, handler.response_serializer)


def _refuse(context: grpc.ServicerContext, method: str, error: Exception) -> None:
    if not isinstance(error, Refusal):
        error_id = uuid.uuid4().hex[:12]
        log.exception("%s failed, error %s", method, error_id)
        error = Internal(f"{method} failed inside the service; its log has the details under error {error_id}")
    context.abort_with_status(rpc_status.to_status(to_status(error)))


def _guard_unary(call: Callable[..., Message], method: str) -> Callable[..., Message | None]:
    def guarded(request: Any, context: grpc.ServicerContext) -> Message | None:
        try:
            return call(request, context)
        except Exception as error:  # noqa: BLE001 the one place where anything becomes a status
            _refuse(context, method, error)
            return None

    return guarded


def _guard_stream(call: Callable[..., Iterator[Message]], method: str) -> Callable[..., Iterator[Message]]:
    def guarded(request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
        try:
            yield from call(request, context)
        except Exception as error:  # noqa: BLE001 the one place where anything becomes a status
            _refuse(context, method, error)

    return guarded


class Server:
    """One gRPC server: `add` the servicers, then `start`; `port` is the one that was bound."""

    def __init__(self, host: str, port: int, threads: int = 32, concurrent: int = 256) -> None:
        self._server = grpc.server(
            futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            interceptors=[ErrorInterceptor()],
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
