"""Telemetry of a running service: metrics, traces, a log line for each failed call, and health checks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from services.platform.telemetry.call_log import CallLog
from services.platform.telemetry.checks import Check
from services.platform.telemetry.endpoint import MetricsAddress, MetricsEndpoint
from services.platform.telemetry.metrics import Metrics
from services.platform.telemetry.observed_call import CallObservers, Observer

if TYPE_CHECKING:
    from services.platform.telemetry.traces import Traces

__all__ = ["Check", "Telemetry"]

log = logging.getLogger("ratchet.sight")


class Telemetry:
    """Metrics, traces and call log of a service. `traces` is None unless OTEL_EXPORTER_OTLP_ENDPOINT is set."""

    def __init__(self, service: str, host: str, environ: Mapping[str, str] = os.environ) -> None:
        """`host`: the host of the service's own port. InvalidInput for invalid settings."""
        self.metrics = Metrics(service)
        self.traces: Traces | None = None
        self._address = MetricsAddress.load(service, host, environ)
        self._endpoint: MetricsEndpoint | None = None
        if environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
            from services.platform.telemetry.traces import open_traces

            self.traces = open_traces(service, environ)
        observers: list[Observer] = [self.traces] if self.traces else []
        self.observed = CallObservers([*observers, self.metrics, CallLog()])

    @property
    def url(self) -> str:
        """The URL of the metrics; empty without one."""
        return self._endpoint.url if self._endpoint else ""

    def untraced(self) -> AbstractContextManager[None]:
        """A context for health-check calls, which leave no traces."""
        if self.traces is None:
            return nullcontext()
        from services.platform.telemetry.traces import untraced

        return untraced()

    def span(self, name: str, request_id: str = "", **attributes: str) -> AbstractContextManager[None]:
        """A span of work: a child of this thread's open span, or of the call with the request id."""
        return self.traces.span(name, request_id, attributes) if self.traces else nullcontext()

    def start(self) -> None:
        """Serves the metrics; PreconditionFailed when their port is busy."""
        if self._address is not None:
            self._endpoint = MetricsEndpoint(self._address, self.metrics.registry)
            log.info("metrics are at %s", self.url)

    def close(self) -> None:
        closers: list[Callable[[], None]] = [self.traces.close] if self.traces else []
        closers += [self._endpoint.close] if self._endpoint else []
        for close in closers:
            close()
