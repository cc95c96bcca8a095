"""A gRPC intermediary on loopback: it passes calls on as they are, and a test says what happens to them on the way."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from grpc_status import rpc_status

from ratchet.client.channel import MESSAGE_LIMIT
from ratchet.client.error_mapping import to_status
from ratchet.errors import RatchetError, Unreachable

Hook = Callable[[], None]
PASSED_ON = ("ratchet-", "authorization", "traceparent")
A_YEAR = 365 * 86_400.0
"""Seconds. More than that is what is left of a call without a deadline."""
OPTIONS = (("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT))


class Between:
    """Stands at `address` before the service at `target`.

    before[method]   called when a call has come in       after[method]   called when its first answer is there, which
    has not been given yet. A RatchetError that a hook raises is the caller's answer. `cut`: nobody answers at all.
    """

    def __init__(self) -> None:
        self.target = ""
        self.cut = False
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(24), options=OPTIONS)
        self._server.add_generic_rpc_handlers((_Everything(self._pass),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(0).wait()
        if self._channel is not None:
            self._channel.close()

    def _connected(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                backoff = [(f"grpc.{name}_reconnect_backoff_ms", 100) for name in ("initial", "min", "max")]
                self._channel = grpc.insecure_channel(self.target, options=(*OPTIONS, *backoff))
            return self._channel

    def _pass(self, path: str, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        method = path.rpartition("/")[2]
        if self.cut:
            context.abort(grpc.StatusCode.UNAVAILABLE, "nobody is there")
        metadata = [pair for pair in context.invocation_metadata() if pair[0].startswith(PASSED_ON)]
        try:
            self.before.get(method, _nothing)()
            left = context.time_remaining()
            left = left if left is not None and left < A_YEAR else None
            call: Any = self._connected().stream_stream(path)(requests, timeout=left, metadata=metadata)
            context.add_callback(call.cancel)
            for number, answer in enumerate(call):
                if number == 0:
                    self.after.get(method, _nothing)()
                if self.cut:
                    raise Unreachable("nobody is there")
                yield answer
        except RatchetError as error:
            context.abort_with_status(rpc_status.to_status(to_status(error)))
        except grpc.RpcError as error:
            failed: Any = error
            context.set_trailing_metadata(failed.trailing_metadata() or ())
            context.abort(failed.code(), failed.details() or "")


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, handle: Callable[[str, Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]) -> None:
        self._handle = handle

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:  # type: ignore[type-arg]
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self._handle(details.method, requests, context)
        )


def _nothing() -> None:
    """What happens to a call that nobody cares about."""


class Times:
    """A hook that acts the first `count` times; `left`: how often it still will."""

    def __init__(self, count: int, act: Hook) -> None:
        self.left, self._act = count, act

    def __call__(self) -> None:
        if self.left:
            self.left -= 1
            self._act()
