"""What a service says of its health: the standard protocol, and what is in the trailing metadata of its answers."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

LIVE = "live"
"""The name under which a server is SERVING while it can answer at all, whatever it misses."""

VERSION_KEY, TIME_KEY, METRICS_KEY, WRONG_KEY = (
    "ratchet-version",
    "ratchet-time",
    "ratchet-metrics",
    "ratchet-wrong-bin",
)


@dataclass(frozen=True)
class Answer:
    """`wrong`: what it misses, in words. `time`: the server's clock, seconds since 1970, 0 where it does not say.
    `version` and `metrics` (a URL) are empty where it does not say."""

    serving: bool
    wrong: str = ""
    version: str = ""
    time: float = 0.0
    metrics: str = ""


def ask(channel: grpc.Channel, name: str = "", timeout: float = 2.0) -> Answer:
    """The health of `name` ("": is all well?). Raises grpc.RpcError where nobody answers, or knows the name."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer, call = stub.Check.with_call(health_pb2.HealthCheckRequest(service=name), timeout=timeout)
    told = dict(call.trailing_metadata() or ())
    wrong = told.get(WRONG_KEY, b"")
    return Answer(
        serving=answer.status == health_pb2.HealthCheckResponse.SERVING,
        wrong=wrong.decode(errors="replace") if isinstance(wrong, bytes) else wrong,
        version=str(told.get(VERSION_KEY, "")),
        time=int(str(told.get(TIME_KEY, "0"))) / 1e9,
        metrics=str(told.get(METRICS_KEY, "")),
    )
