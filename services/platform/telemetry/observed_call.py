"""Observation of calls: names, request id, status and duration, for metrics, traces and the call log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import grpc

from services.platform.interceptors import Call

LONGEST_ID = 128


class ObservedCall:
    """One running call.

    `code` and `seconds` are set at its end, `request_id` with its request, `error_id` by an internal error.
    """

    __slots__ = ("_started_at", "code", "context", "error_id", "method", "request_id", "seconds", "service")

    def __init__(self, call: Call) -> None:
        full, _, self.method = call.method.rpartition("/")
        self.service = full.rpartition(".")[2]
        self.context = call.context
        self.request_id = self.error_id = self.code = ""
        self.seconds = 0.0
        self._started_at = time.perf_counter()

    def end(self) -> None:
        self.seconds = time.perf_counter() - self._started_at
        self.code = _code(self.context)


class Observer(Protocol):
    """Callbacks of a call, in its thread: at its start, with its request, and at its end."""

    def on_start(self, call: ObservedCall) -> None: ...

    def on_request(self, call: ObservedCall) -> None: ...

    def on_end(self, call: ObservedCall) -> None: ...


_thread = threading.local()


def current_call() -> ObservedCall | None:
    """The call that this thread is handling."""
    return getattr(_thread, "call", None)


class CallObservers:
    """The outermost interceptor, which runs the observers, and the innermost one, which reads the request."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    @contextmanager
    def interceptor(self, call: Call) -> Iterator[None]:
        observed = _thread.call = ObservedCall(call)
        for observer in self._observers:
            observer.on_start(observed)
        try:
            yield
        finally:
            observed.end()
            for observer in reversed(self._observers):
                observer.on_end(observed)
            _thread.call = None

    @property
    def request_observer(self) -> _RequestObserver:
        return _RequestObserver(self._on_request)

    def _on_request(self, message: Any) -> None:
        call = current_call()
        if call is not None and not call.request_id:
            call.request_id = getattr(message, "request_id", "")[:LONGEST_ID]
            for observer in self._observers:
                observer.on_request(call)


class _RequestObserver(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """Passes the parsed request, or the header of an upload, to `arrived`."""

    def __init__(self, on_request: Callable[[Any], None]) -> None:
        self._on_request = on_request

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or not details.method.startswith("/ratchet."):
            return handler
        parse = handler.request_deserializer

        def parsed(content: bytes) -> Any:
            message = parse(content)
            self._on_request(getattr(message, "header", message))
            return message

        return handler._replace(request_deserializer=parsed)


def _code(context: grpc.ServicerContext) -> str:
    """The status of the response: `OK`, `NOT_FOUND` … Exceptions have been mapped inside this interceptor."""
    stated = context.code()  # type: ignore[attr-defined]  # missing in its stub
    if stated is not None:
        return str(stated.name)
    if context.is_active():
        return "OK"
    left = context.time_remaining()
    return "CANCELLED" if left is None or left > 0 else "DEADLINE_EXCEEDED"
