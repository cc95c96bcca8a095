"""How messages come in and go out, whatever method they are of: each in time, and each well formed.

gRPC parses a request before any code of ours runs, and answers INTERNAL for bytes that are none; it also waits for the
request in a thread of the server, for ever. Here both happen inside of the layers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from ratchet.errors import Cancelled, InvalidInput, LimitReached
from services.platform.limits import Limits
from services.platform.validation import require_wellformed
from services.platform.watchdog import Watchdog


class Arrival(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """The innermost interceptor: takes and parses requests, and sees that answers are read."""

    def __init__(self, limits: Limits, watchdog: Watchdog) -> None:
        self._limits, self._watchdog = limits, watchdog

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None:
            return None
        arrived = self._pieces if handler.request_streaming else self._single
        parse = handler.request_deserializer
        if handler.response_streaming:
            stream = handler.unary_stream or handler.stream_stream

            def streaming(pieces: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Message]:
                return self._taken(stream(arrived(pieces, parse, context), context), context)

            return grpc.stream_stream_rpc_method_handler(streaming, None, handler.response_serializer)
        unary = handler.unary_unary or handler.stream_unary

        def single(pieces: Iterator[bytes], context: grpc.ServicerContext) -> Message:
            answer: Message = unary(arrived(pieces, parse, context), context)
            return answer

        return grpc.stream_unary_rpc_method_handler(single, None, handler.response_serializer)

    def _single(
        self, pieces: Iterator[bytes], parse: Callable[[bytes], Message], context: grpc.ServicerContext
    ) -> Message:
        for request in self._arriving(pieces, parse, context):
            return request
        raise InvalidInput("the call ended without a request; send one message")

    def _pieces(
        self, pieces: Iterator[bytes], parse: Callable[[bytes], Message], context: grpc.ServicerContext
    ) -> Iterator[Message]:
        end = time.monotonic() + self._limits.upload_seconds
        for piece in self._arriving(pieces, parse, context):
            yield piece
            if time.monotonic() > end:
                raise LimitReached(
                    f"an upload may take {self._limits.upload_seconds} seconds; send larger pieces, or a smaller file"
                )

    def _arriving(
        self, pieces: Iterator[bytes], parse: Callable[[bytes], Message], context: grpc.ServicerContext
    ) -> Iterator[Message]:
        """The messages; Cancelled when the caller has gone, or one does not come within stall_seconds."""
        while True:
            try:
                with self._watchdog.within(self._limits.stall_seconds, context.cancel):
                    piece = next(pieces)
            except StopIteration:
                return
            except grpc.RpcError as error:
                raise Cancelled(
                    "the caller has gone, or its next message did not come within"
                    f" {self._limits.stall_seconds} seconds; call again"
                ) from error
            yield _parsed(piece, parse)

    def _taken(self, answers: Iterator[Message], context: grpc.ServicerContext) -> Iterator[Message]:
        """The answers; the call is cancelled where one is not taken by its reader within stall_seconds."""
        for answer in answers:
            with self._watchdog.within(self._limits.stall_seconds, context.cancel):
                yield answer


def _parsed(content: bytes, parse: Callable[[bytes], Message]) -> Message:
    try:
        request = parse(content)
    except DecodeError as error:
        raise InvalidInput(
            f"{len(content)} bytes are not a message of this method ({error}); send it as its .proto says"
        ) from error
    require_wellformed(request)
    return request
