"""Health check of another service."""

from __future__ import annotations

import grpc

from ratchet.client.channel import map_rpc_error
from ratchet.client.health import check_health
from ratchet.client.transport import Transport
from ratchet.errors import Unreachable
from services.platform.telemetry.checks import Check


def peer_check(name: str, transport: Transport) -> Check:
    """Passes while the service behind `transport` is ready."""

    def check() -> None:
        try:
            answer = check_health(transport.lazy_channel.channel)
        except grpc.RpcError as error:
            raise map_rpc_error(error, transport.peer) from error
        if not answer.serving:
            raise Unreachable(f"{transport.peer} is not ready: {answer.wrong or 'it is stopping'}")

    return Check(name, check)
