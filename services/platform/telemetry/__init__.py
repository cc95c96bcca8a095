"""Sight into a running service: metrics, traces, a line for each call that failed, and what it needs to be well."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from services.platform.telemetry.call_log import Lines
from services.platform.telemetry.checks import Check
from services.platform.telemetry.endpoint import Address, Endpoint
from services.platform.telemetry.metrics import Metrics
from services.platform.telemetry.observed_call import Observed, Observer

if TYPE_CHECKING:
    from services.platform.telemetry.traces import Traces

__all__ = ["Check", "Sight"]

log = logging.getLogger("ratchet.sight")


class Sight:
    """What a service shows of itself. `traces` is None where OTEL_EXPORTER_OTLP_ENDPOINT is not set."""

    def __init__(self, service: str, host: str, environ: Mapping[str, str] = os.environ) -> None:
        """`host`: where the service itself listens. InvalidInput for settings that can't be."""
        self.metrics = Metrics(service)
        self.traces: Traces | None = None
        self._address = Address.load(service, host, environ)
        self._endpoint: Endpoint | None = None
        if environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
            from services.platform.telemetry.traces import open_traces

            self.traces = open_traces(service, environ)
        observers: list[Observer] = [self.traces] if self.traces else []
        self.observed = Observed([*observers, self.metrics, Lines()])

    @property
    def url(self) -> str:
        """Where the metrics are; empty where they are not served."""
        return self._endpoint.url if self._endpoint else ""

    def untraced(self) -> AbstractContextManager[None]:
        """Around calls that a service makes to look after itself."""
        if self.traces is None:
            return nullcontext()
        from services.platform.telemetry.traces import untraced

        return untraced()

    def span(self, name: str, request_id: str = "", **attributes: str) -> AbstractContextManager[None]:
        """Work as a span: of the one that is open in this thread, or of the call that brought the request."""
        return self.traces.span(name, request_id, attributes) if self.traces else nullcontext()

    def start(self) -> None:
        """Serve the metrics; PreconditionFailed where their port is busy."""
        if self._address is not None:
            self._endpoint = Endpoint(self._address, self.metrics.registry)
            log.info("metrics are at %s", self.url)

    def close(self) -> None:
        closers: list[Callable[[], None]] = [self.traces.close] if self.traces else []
        closers += [self._endpoint.close] if self._endpoint else []
        for close in closers:
            close()
