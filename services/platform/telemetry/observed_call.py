"""A call as an observer sees it: its names, its request's id, how it ended and how long it took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import grpc

from services.platform.interceptors import Call

LONGEST_ID = 128


class Seen:
    """One call under way. `code` and `seconds` are known at its end, `request_id` once the request has arrived;
    `error_id` where it ran into a defect of ours."""

    __slots__ = ("_begun", "code", "context", "error_id", "method", "request_id", "seconds", "service")

    def __init__(self, call: Call) -> None:
        full, _, self.method = call.method.rpartition("/")
        self.service = full.rpartition(".")[2]
        self.context = call.context
        self.request_id = self.error_id = self.code = ""
        self.seconds = 0.0
        self._begun = time.perf_counter()

    def end(self) -> None:
        self.seconds = time.perf_counter() - self._begun
        self.code = _code(self.context)


class Observer(Protocol):
    """Is told of each call, in its thread: when it begins, when its request has arrived, and when it has ended."""

    def begun(self, seen: Seen) -> None: ...

    def arrived(self, seen: Seen) -> None: ...

    def ended(self, seen: Seen) -> None: ...


_here = threading.local()


def under_way() -> Seen | None:
    """The call that this thread works for."""
    return getattr(_here, "seen", None)


class Observed:
    """The layer around every call, and the interceptor within all others that looks at its request."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    @contextmanager
    def layer(self, call: Call) -> Iterator[None]:
        seen = _here.seen = Seen(call)
        for observer in self._observers:
            observer.begun(seen)
        try:
            yield
        finally:
            seen.end()
            for observer in reversed(self._observers):
                observer.ended(seen)
            _here.seen = None

    @property
    def interceptor(self) -> _Requests:
        return _Requests(self._arrived)

    def _arrived(self, message: Any) -> None:
        seen = under_way()
        if seen is not None and not seen.request_id:
            seen.request_id = getattr(message, "request_id", "")[:LONGEST_ID]
            for observer in self._observers:
                observer.arrived(seen)


class _Requests(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """Shows the request, or the header of an upload, to `arrived` when it is parsed."""

    def __init__(self, arrived: Callable[[Any], None]) -> None:
        self._arrived = arrived

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or not details.method.startswith("/ratchet."):
            return handler
        parse = handler.request_deserializer

        def parsed(content: bytes) -> Any:
            message = parse(content)
            self._arrived(getattr(message, "header", message))
            return message

        return handler._replace(request_deserializer=parsed)


def _code(context: grpc.ServicerContext) -> str:
    """The status that the caller gets: `OK`, `NOT_FOUND` … Errors have become one within this layer."""
    stated = context.code()  # type: ignore[attr-defined]  # missing in its stub
    if stated is not None:
        return str(stated.name)
    if context.is_active():
        return "OK"
    left = context.time_remaining()
    return "CANCELLED" if left is None or left > 0 else "DEADLINE_EXCEEDED"
