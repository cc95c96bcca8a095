"""Client of the standard health protocol, with Ratchet's trailing metadata."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

LIVE = "live"
"""Health service name for liveness: SERVING even with missing dependencies."""

VERSION_KEY, TIME_KEY, METRICS_KEY, WRONG_KEY = (
    "ratchet-version",
    "ratchet-time",
    "ratchet-metrics",
    "ratchet-wrong-bin",
)


@dataclass(frozen=True)
class HealthStatus:
    """Health of a service. `wrong`: the problem as text. `time`: the server's clock, seconds since 1970, 0 if unknown.
    `version` and `metrics` (a URL) are empty if unknown."""

    serving: bool
    wrong: str = ""
    version: str = ""
    time: float = 0.0
    metrics: str = ""


def check_health(channel: grpc.Channel, name: str = "", timeout: float = 2.0) -> HealthStatus:
    """Health of `name` ("": the whole service). Raises grpc.RpcError without an answer, or for an unknown name."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer, call = stub.Check.with_call(health_pb2.HealthCheckRequest(service=name), timeout=timeout)
    told = dict(call.trailing_metadata() or ())
    wrong = told.get(WRONG_KEY, b"")
    return HealthStatus(
        serving=answer.status == health_pb2.HealthCheckResponse.SERVING,
        wrong=wrong.decode(errors="replace") if isinstance(wrong, bytes) else wrong,
        version=str(told.get(VERSION_KEY, "")),
        time=int(str(told.get(TIME_KEY, "0"))) / 1e9,
        metrics=str(told.get(METRICS_KEY, "")),
    )
