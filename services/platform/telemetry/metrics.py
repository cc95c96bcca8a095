"""Prometheus metrics of every call; the metrics of one service are in `services/*/telemetry.py`.

No label holds a lineage, a series, an actor or an id, so the number of time series is bounded by methods, codes and
reasons.
"""

from __future__ import annotations

import importlib.metadata
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.platform.telemetry.observed_call import ObservedCall

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

    def on_start(self, call: ObservedCall) -> None:
        self._in_flight(call.service, call.method).inc()

    def on_request(self, call: ObservedCall) -> None: ...

    def on_end(self, call: ObservedCall) -> None:
        self._in_flight(call.service, call.method).dec()
        self._requests(call.service, call.method, call.code).inc()
        self._seconds(call.service, call.method).observe(call.seconds)

    def dependency(self, name: str, is_up: bool) -> None:
        self._dependencies.labels(name).set(is_up)
