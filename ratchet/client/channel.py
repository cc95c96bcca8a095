"""gRPC channels: their options, TLS, token, and the mapping of connection errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import grpc
from grpc_status import rpc_status

from ratchet.client.credentials import TLS_VARIABLES, Credentials
from ratchet.client.error_mapping import from_rpc
from ratchet.errors import Cancelled, RatchetError, Unreachable

AUTHORIZATION_KEY = "authorization"
SCHEME = "bearer"
"""Scheme of the authorization header: case-insensitive, followed by a space and the token."""
MESSAGE_LIMIT = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Keepalive: a call notices within a minute that its server has vanished.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)
HUNG_UP = "it hangs up, as a server does on callers without TLS and a certificate of its authority"
_TLS_FAILURES = {
    "certificate has expired": "its certificate has expired",
    "unable to get local issuer": "its certificate is of another authority than those of RATCHET_TLS_CA",
    "Hostname Verification": "its certificate is not for the host that is called",
    "unsupported certificate purpose": "its certificate is that of a caller, not of a server",
    "WRONG_VERSION_NUMBER": "it speaks without TLS",
    "Socket closed": HUNG_UP,
    "Connection reset": HUNG_UP,
}
"""Texts of gRPC for connections that failed before the first call, and their causes."""

_LOCAL_CANCELLATIONS = ("Locally cancelled by application!", "Channel closed!")
DROPPED_SECONDS = 10.0
"""A stopping server answers CANCELLED to calls that have just arrived and were not started. A call cancelled by a
deadline is older than this."""


def open_channel(address: str, credentials: Credentials) -> grpc.Channel:
    """Opens a channel to host:port, with the caller's TLS and token, if any.

    PreconditionFailed for a token without TLS to another machine.
    """
    credentials.require_encrypted(address)
    tls = credentials.tls
    if tls is None:
        channel = grpc.insecure_channel(address, options=_OPTIONS)
    else:
        shown = grpc.ssl_channel_credentials(tls.ca, private_key=tls.key, certificate_chain=tls.cert)
        channel = grpc.secure_channel(address, shown, options=_OPTIONS)
    if not credentials.token:
        return channel
    sent = ((AUTHORIZATION_KEY, f"Bearer {credentials.token}"),)
    return grpc.intercept_channel(channel, MetadataInterceptor(lambda: sent))


def map_rpc_error(error: grpc.RpcError, peer: str, seconds: float = math.inf) -> RatchetError:
    """The RatchetError of a call to `peer` that failed after `seconds`.

    A TLS failure names its cause; a call dropped by a stopping server is Unreachable.
    """
    said = (error.details() or "") if isinstance(error, grpc.Call) else ""
    found = from_rpc(error, peer)
    dropped = isinstance(found, Cancelled) and said not in _LOCAL_CANCELLATIONS and seconds < DROPPED_SECONDS
    if dropped and isinstance(error, grpc.Call) and rpc_status.from_call(error) is None:
        return Unreachable(f"{peer} hung up, as a service does that is told to stop; try again")
    why = next((meant for words, meant in _TLS_FAILURES.items() if words in said), None)
    if why is None or not said.startswith("failed to connect"):
        return found
    variables = ", ".join(TLS_VARIABLES.values())
    return Unreachable(f"{peer} can't be called: {why}; see {variables} here and there, and ratchet certs")


class MetadataInterceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # generic in its stub only
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    """Interceptor that adds metadata to every call; `more` is called for each one."""

    def __init__(self, more: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._more = more

    def _call(self, continuation: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return continuation(details._replace(metadata=(*(details.metadata or ()), *self._more())), request)

    intercept_unary_unary = intercept_unary_stream = _call  # type: ignore[assignment]
    intercept_stream_unary = intercept_stream_stream = _call  # type: ignore[assignment]
