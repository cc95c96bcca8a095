"""Calls to one service: a lazy channel, a deadline on every call, bounded retries, errors mapped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from ratchet.client.channel import map_rpc_error, open_channel
from ratchet.client.credentials import Credentials
from ratchet.client.tracing import with_tracing
from ratchet.errors import DeadlinePassed, Unreachable

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

ACTOR_KEY = "ratchet-actor"
CORRELATION_KEY = "ratchet-correlation"
BACKOFF = (0.1, 0.3, 0.9)
RESTART = (2.0, 4.0, 8.0, 8.0, 8.0)
"""Further pauses for an established stream: the restart time of a service."""


class LazyChannel:
    """The channel to one address, opened on first use; `credentials` default to those of the environment.

    InvalidInput and PreconditionFailed for credentials that are unusable there.
    """

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:
        self.address = address
        self._credentials = Credentials.load() if credentials is None else credentials
        self._credentials.require_encrypted(address)
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None

    @property
    def channel(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                self._channel = with_tracing(open_channel(self.address, self._credentials))
            return self._channel

    def close(self) -> None:
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None


class Transport:
    """One service at one address, called in the name of `actor`.

    A call that ends Unreachable is repeated after each pause of `backoff` (seconds) within its deadline. That is safe
    for reads, and for writes because of their request ids. Every other error is raised at once.
    """

    def __init__(
        self, service: str, lazy_channel: LazyChannel, actor: str, timeout: float, backoff: tuple[float, ...] = BACKOFF
    ) -> None:
        self.service, self.lazy_channel, self.timeout = service, lazy_channel, timeout
        self._metadata = ((ACTOR_KEY, actor.encode("ascii", "replace").decode()),)
        self._backoff = backoff

    @property
    def peer(self) -> str:
        return f"the {self.service} at {self.lazy_channel.address}"

    def acting_as(self, actor: str) -> Transport:
        """The same channel, with another actor."""
        return Transport(self.service, self.lazy_channel, actor, self.timeout, self._backoff)

    def unary(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout: float | None = None
    ) -> Response:
        return self._retry(lambda left: method(request, timeout=left, metadata=self._metadata), timeout)

    def upload(
        self,
        method: grpc.StreamUnaryMultiCallable[Request, Response],
        pieces: Callable[[], Iterator[Request]],
        timeout: float | None = None,
    ) -> Response:
        """A client stream; `pieces` restarts it for each attempt."""
        return self._retry(lambda left: method(pieces(), timeout=left, metadata=self._metadata), timeout)

    def stream(
        self,
        method: grpc.UnaryStreamMultiCallable[Request, Response],
        request: Callable[[], Request],
        timeout: float,
        resumable: bool = False,
    ) -> Iterator[Response]:
        """A server stream, repeated like a call before its first message.

        `resumable`: `request()` holds the resume position, so a stream that breaks or meets its deadline is requested
        again.
        """
        pauses = iter(self._backoff)
        arrived = False
        while True:
            began = time.monotonic()
            call = method(request(), timeout=timeout, metadata=self._metadata)
            try:
                for message in call:
                    arrived, pauses = True, iter((*self._backoff, *RESTART) if resumable else ())
                    yield message
                return
            except grpc.RpcError as error:
                found = map_rpc_error(error, self.peer, time.monotonic() - began)
                if resumable and isinstance(found, DeadlinePassed):
                    continue
                pause = next(pauses, None) if resumable or not arrived else None
                if pause is None or type(found) is not Unreachable:
                    raise found from error
                time.sleep(pause)
            finally:
                call.cancel()  # type: ignore[no-untyped-call]

    def _retry(self, attempt: Callable[[float], Response], timeout: float | None) -> Response:
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        pauses = iter(self._backoff)
        while True:
            began = time.monotonic()
            try:
                return attempt(max(end - began, 0.001))
            except grpc.RpcError as error:
                found, pause = map_rpc_error(error, self.peer, time.monotonic() - began), next(pauses, None)
                late = pause is None or time.monotonic() + pause >= end
                if late or type(found) is not Unreachable:
                    raise found from error
            time.sleep(pause or 0.0)
