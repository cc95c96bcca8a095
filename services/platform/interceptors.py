"""What lies around every call to a server: layers, entered with the call and left with it."""

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


Layer: TypeAlias = Callable[[Call], AbstractContextManager[None]]
"""Entered before the request is handled and left after the last response, with the error that ended the call."""


@dataclass(frozen=True)
class Caller:
    """Who calls, and for what; `role` is that of the caller's token, empty where no tokens are asked for."""

    actor: str
    correlation_id: str
    role: str = ""

    @classmethod
    def of(cls, context: grpc.ServicerContext) -> Caller:
        """Who was found to call; where nobody looks (no tokens, loopback), who the call says it is."""
        return _IDENTIFIED.get(context) or cls.claimed(context)

    def require(self, role: str, to: str) -> None:
        """NotAllowed without just this role, for what one request of a method may do and another not; where no tokens
        are asked for, everybody may."""
        if self.role not in ("", role):
            raise NotAllowed(
                f"to {to} needs the role {role}, {self.actor} has {self.role}; an administrator gives it with"
                f" ratchet tokens add {self.actor} --role {role}"
            )

    def identify(self, context: grpc.ServicerContext) -> None:
        """From now on this is the caller of that call, whatever its metadata say."""
        _IDENTIFIED[context] = self

    @classmethod
    def claimed(cls, context: grpc.ServicerContext) -> Caller:
        """Who the call's metadata say it is: true only of a caller whom one trusts."""
        sent = {str(key): str(value) for key, value in context.invocation_metadata()}
        return cls(sent.get(ACTOR_KEY, "anonymous")[:128], sent.get(CORRELATION_KEY, "")[:128])


_IDENTIFIED: WeakKeyDictionary[grpc.ServicerContext, Caller] = WeakKeyDictionary()


class Layered(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """Puts `layers`, the outermost first, around every call to a method that begins with `prefix`: as a rule, ours."""

    def __init__(self, layers: Sequence[Layer], prefix: str = "/ratchet.") -> None:
        self._layers, self._prefix = tuple(layers), prefix

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or not details.method.startswith(self._prefix):
            return handler
        around = self._around_stream if handler.response_streaming else self._around_unary
        sides = (handler.request_streaming, handler.response_streaming)
        kind = "_".join("stream" if streaming else "unary" for streaming in sides)
        return handler._replace(**{kind: around(getattr(handler, kind), details.method)})

    def _entered(self, stack: ExitStack, method: str, context: grpc.ServicerContext) -> None:
        call = Call(method, context)
        for layer in self._layers:
            stack.enter_context(layer(call))

    def _around_unary(self, handle: Callable[..., Message], method: str) -> Callable[..., Message]:
        def layered(request: Any, context: grpc.ServicerContext) -> Message:
            with ExitStack() as stack:
                self._entered(stack, method, context)
                return handle(request, context)

        return layered

    def _around_stream(self, handle: Callable[..., Iterator[Message]], method: str) -> Callable[..., Iterator[Message]]:
        def layered(request: Any, context: grpc.ServicerContext) -> Iterator[Message]:
            with ExitStack() as stack:
                self._entered(stack, method, context)
                yield from handle(request, context)

        return layered
