"""The numbers that Prometheus scrapes: of every call here, of what a service knows in `services/*/sight.py`.

No label holds a lineage, a series, an actor or an id: there are as many time series as methods, codes and reasons.
"""

from __future__ import annotations

import importlib.metadata
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.platform.telemetry.observed_call import Seen

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The metrics of one service. Others are added with `registry=metrics.registry`."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Gauge("ratchet_build_info", "1, with what runs here", ("service", "version"), registry=self.registry)
        build.labels(service, importlib.metadata.version("ratchet-models")).set(1)
        names = ("service", "method")
        self._requests = cache(
            Counter("ratchet_requests", "Calls that have ended", (*names, "code"), registry=self.registry).labels
        )
        self._seconds = cache(
            Histogram(
                "ratchet_request_seconds",
                "How long calls took; watch streams last as long as their callers",
                names,
                buckets=SECONDS,
                registry=self.registry,
            ).labels
        )
        self._in_flight = cache(
            Gauge("ratchet_requests_in_flight", "Calls under way", names, registry=self.registry).labels
        )
        self._dependencies = Gauge(
            "ratchet_dependency_up", "1 where what the service needs answers", ("dependency",), registry=self.registry
        )

    def begun(self, seen: Seen) -> None:
        self._in_flight(seen.service, seen.method).inc()

    def arrived(self, seen: Seen) -> None: ...

    def ended(self, seen: Seen) -> None:
        self._in_flight(seen.service, seen.method).dec()
        self._requests(seen.service, seen.method, seen.code).inc()
        self._seconds(seen.service, seen.method).observe(seen.seconds)

    def dependency(self, name: str, is_up: bool) -> None:
        self._dependencies.labels(name).set(is_up)
