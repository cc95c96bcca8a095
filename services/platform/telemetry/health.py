"""The standard health service: whether this server is ready, whether it is alive, and what it misses.

""            ready: everything that it needs is there; so do the names of its services
"live"        it serves, whatever it misses; NOT_SERVING only when it is told to stop
a check       such as "database": whether that is there

Each answer's trailing metadata say what runs here and what is wrong with what was asked for.
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
    """As `tell` says, before the server starts and at each change; `metrics` answers their URL, empty without one."""

    def __init__(self, metrics: Callable[[], str] = lambda: "") -> None:
        super().__init__(experimental_non_blocking=False)
        self._metrics, self._version = metrics, importlib.metadata.version("ratchet-models")
        self._telling = threading.Lock()
        self._wrong: Mapping[str, str] = {}
        self.set(LIVE, SERVING)

    def tell(self, names: Sequence[str], checks: Sequence[str], wrong: Mapping[str, str]) -> None:
        """What is wrong, in words by the name of the check: nothing, and the services `names` are ready."""
        with self._telling:
            self._wrong = dict(wrong)
            for name in checks:
                self.set(name, NOT_SERVING if name in wrong else SERVING)
            for name in ("", *names):
                self.set(name, NOT_SERVING if wrong else SERVING)

    def Check(  # noqa: N802 the contract names it
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        wrong = self._wrong
        asked = wrong.get(request.service, "") if request.service else "; ".join(wrong.values())
        context.set_trailing_metadata(
            (
                (VERSION_KEY, self._version),
                (TIME_KEY, str(time.time_ns())),
                (METRICS_KEY, self._metrics()),
                (WRONG_KEY, asked.encode()),
            )
        )
        answer: health_pb2.HealthCheckResponse = super().Check(request, context)
        return answer
