"""Calls in bytes: what goes out need not be a message."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from ratchet.client.channel import MESSAGE_LIMIT
from ratchet.client.transport import ACTOR_KEY
from tests.fuzz.methods import Method

DEADLINE_SECONDS = 60.0
WATCHED_SECONDS = 0.2
MOST_ANSWERS = 20
"""Messages read of one stream, before it is cancelled."""

_OPTIONS = (("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT))


@dataclass(frozen=True)
class Answered:
    """How a call ended: the code's name, its words, and the messages that came before."""

    code: str
    details: str = ""
    bodies: Sequence[bytes] = ()


class Wire:
    """Channels to the services, by the name of their process."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._channels = {name: grpc.insecure_channel(address, _OPTIONS) for name, address in addresses.items()}

    def call(self, method: Method, bodies: Sequence[bytes], actor: str = "fuzzer") -> Answered:
        """Send these messages; a method that does not stream takes the first."""
        channel = self._channels[method.process]
        timeout = WATCHED_SECONDS if method.waits else DEADLINE_SECONDS
        make: Any = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
        }[method.client_streams, method.server_streams]
        request = iter(bodies) if method.client_streams else bodies[0]
        try:
            answer = make(method.path)(request, timeout=timeout, metadata=((ACTOR_KEY, actor),))
            if not method.server_streams:
                return Answered("OK", bodies=(answer,))
            taken = list(itertools.islice(answer, MOST_ANSWERS))
            answer.cancel()
        except grpc.RpcError as error:
            return _ended(error)
        return Answered("OK", bodies=taken)

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()


def _ended(call: Any) -> Answered:
    return Answered(call.code().name, call.details() or "")
