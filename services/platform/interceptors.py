"""Call interceptors: context managers around every call to a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import grpc
from google.protobuf.message import Message

from ratchet.client.transport import ACTOR_KEY, CORRELATION_KEY
from ratchet.errors import NotAllowed


@dataclass(frozen=True)
class Call:
    """One call: the full name of its method, such as /ratchet.registry.v1.RegistryService/GetModel, and its context."""

    method: str
    context: grpc.ServicerContext


Interceptor: TypeAlias = Callable[[Call], AbstractContextManager[None]]
"""Entered before the request is handled and left after the last response, with the error that ended the call."""


@dataclass(frozen=True)
class Caller:
    """The identity of a caller and its correlation id; `role` is that of the caller's token, empty without tokens."""

    actor: str
    correlation_id: str
    role: str = ""

    @classmethod
    def of(cls, context: grpc.ServicerContext) -> Caller:
        """The authenticated caller; without authentication (no tokens, loopback) the claimed one."""
        return _IDENTIFIED.get(context) or cls.claimed(context)

    def require(self, role: str, to: str) -> None:
        """NotAllowed unless the caller has exactly this role; without tokens everybody may.

        For a privileged option of a method.
        """
        if self.role not in ("", role):
            raise NotAllowed(
                f"to {to} needs the role {role}, {self.actor} has {self.role}; an administrator gives it with"
                f" ratchet tokens add {self.actor} --role {role}"
            )

    def identify(self, context: grpc.ServicerContext) -> None:
        """Sets the authenticated caller of a call, whatever the metadata claim."""
        _IDENTIFIED[context] = self

    @classmethod
    def claimed(cls, context: grpc.ServicerContext) -> Caller:
        """The caller that the call's metadata claim; trustworthy only from a trusted caller."""
        sent = {str(key): str(value) for key, value in context.invocation_metadata()}
        return cls(sent.get(ACTOR_KEY, "anonymous")[:128], sent.get(CORRELATION_KEY, "")[:128])


_IDENTIFIED: WeakKeyDictionary[grpc.ServicerContext, Caller] = WeakKeyDictionary()


class InterceptorChain(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """Runs `interceptors`, the outermost first, around every call to a method that begins with `prefix`."""

    def __init__(self, interceptors: Sequence[Interceptor], prefix: str = "/ratchet.") -> None:
        self._interceptors, self._prefix = tuple(interceptors), prefix

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or not details.method.startswith(self._prefix):
            return handler
        around = self._around_stream if handler.response_streaming else self._around_unary
        sides = (handler.request_streaming, handler.response_streaming)
        kind = "_".join("stream" if streaming else "unary" for streaming in sides)
        return handler._replace(**{kind: around(getattr(handler, kind), details.method)})

    def _enter(self, stack: ExitStack, method: str, context: grpc.ServicerContext) -> None:
        call = Call(method, context)
        for interceptor in self._interceptors:
            stack.enter_context(interceptor(call))

    def _around_unary(self, handle: Callable[..., Message], method: str) -> Callable[..., Message]:
        def intercepted(request: Any, context: grpc.ServicerContext) -> Message:
            with ExitStack() as stack:
                self._enter(stack, method, context)
                return handle(request, context)

        return intercepted

    def _around_stream(self, handle: Callable[..., Iterator[Message]], method: str) -> Callable[..., Iterator[Message]]:
        def intercepted(request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
            with ExitStack() as stack:
                self._enter(stack, method, context)
                yield from handle(request, context)

        return intercepted
