"""The standard gRPC health service: readiness, liveness, and the state of each dependency.

    ""            readiness: every check passes; so do the names of the services
    "live"        liveness: NOT_SERVING only during shutdown
    a check       such as "database": the state of that dependency

The trailing metadata of each answer hold version, time, metrics URL and the reason of a failure.
"""

from __future__ import annotations

import importlib.metadata
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import grpc
from grpc_health.v1 import health, health_pb2

from ratchet.client.health import LIVE, METRICS_KEY, TIME_KEY, VERSION_KEY, WRONG_KEY

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health(health.HealthServicer):
    """The health service; `update` sets its state before the server starts and at each change.

    `metrics` returns the URL of the metrics, empty without one.
    """

    def __init__(self, metrics: Callable[[], str] = lambda: "") -> None:
        super().__init__(experimental_non_blocking=False)
        self._metrics, self._version = metrics, importlib.metadata.version("ratchet-models")
        self._update_lock = threading.Lock()
        self._failing: Mapping[str, str] = {}
        self.set(LIVE, SERVING)

    def update(self, names: Sequence[str], checks: Sequence[str], failing: Mapping[str, str]) -> None:
        """`failing`: the failing checks by name, with the reason; if empty, the services `names` are ready."""
        with self._update_lock:
            self._failing = dict(failing)
            for name in checks:
                self.set(name, NOT_SERVING if name in failing else SERVING)
            for name in ("", *names):
                self.set(name, NOT_SERVING if failing else SERVING)

    def Check(  # noqa: N802 the contract names it
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        failing = self._failing
        reason = failing.get(request.service, "") if request.service else "; ".join(failing.values())
        context.set_trailing_metadata(
            (
                (VERSION_KEY, self._version),
                (TIME_KEY, str(time.time_ns())),
                (METRICS_KEY, self._metrics()),
                (WRONG_KEY, reason.encode()),
            )
        )
        answer: health_pb2.HealthCheckResponse = super().Check(request, context)
        return answer
