"""Request decoding inside the interceptors: parsing, validation, and timeouts for each message.

gRPC itself parses a request before any interceptor runs, answers INTERNAL for malformed bytes, and waits for a request
without a timeout in a server thread.
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


class RequestDecoder(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stub only
    """The innermost interceptor: receives and parses requests, and bounds the delivery of responses."""

    def __init__(self, limits: Limits, watchdog: Watchdog) -> None:
        self._limits, self._watchdog = limits, watchdog

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None:
            return None
        decoded = self._stream if handler.request_streaming else self._one
        parse = handler.request_deserializer
        if handler.response_streaming:
            stream = handler.unary_stream or handler.stream_stream

            def streaming(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Message]:
                return self._delivered(stream(decoded(messages, parse, context), context), context)

            return grpc.stream_stream_rpc_method_handler(streaming, None, handler.response_serializer)
        unary = handler.unary_unary or handler.stream_unary

        def single(messages: Iterator[bytes], context: grpc.ServicerContext) -> Message:
            response: Message = unary(decoded(messages, parse, context), context)
            return response

        return grpc.stream_unary_rpc_method_handler(single, None, handler.response_serializer)

    def _one(
        self, messages: Iterator[bytes], parse: Callable[[bytes], Message], context: grpc.ServicerContext
    ) -> Message:
        for request in self._decoded(messages, parse, context):
            return request
        raise InvalidInput("the call ended without a request; send one message")

    def _stream(
        self, messages: Iterator[bytes], parse: Callable[[bytes], Message], context: grpc.ServicerContext
    ) -> Iterator[Message]:
        end = time.monotonic() + self._limits.upload_seconds
        for message in self._decoded(messages, parse, context):
            yield message
            if time.monotonic() > end:
                raise LimitReached(
                    f"an upload may take {self._limits.upload_seconds} seconds; send larger pieces, or a smaller file"
                )

    def _decoded(
        self, messages: Iterator[bytes], parse: Callable[[bytes], Message], context: grpc.ServicerContext
    ) -> Iterator[Message]:
        """The parsed messages; Cancelled when the caller is gone, or a message does not arrive within stall_seconds."""
        while True:
            try:
                with self._watchdog.within(self._limits.stall_seconds, context.cancel):
                    message = next(messages)
            except StopIteration:
                return
            except grpc.RpcError as error:
                raise Cancelled(
                    "the caller has gone, or its next message did not come within"
                    f" {self._limits.stall_seconds} seconds; call again"
                ) from error
            yield _parse(message, parse)

    def _delivered(self, responses: Iterator[Message], context: grpc.ServicerContext) -> Iterator[Message]:
        """The responses; the call is cancelled when its reader does not take a response within stall_seconds."""
        for response in responses:
            with self._watchdog.within(self._limits.stall_seconds, context.cancel):
                yield response


def _parse(content: bytes, parse: Callable[[bytes], Message]) -> Message:
    try:
        request = parse(content)
    except DecodeError as error:
        raise InvalidInput(
            f"{len(content)} bytes are not a message of this method ({error}); send it as its .proto says"
        ) from error
    require_wellformed(request)
    return request
