"""Calls carry the span that is open where they are made, so that a trace goes on in the service that is called.

Only where traces are asked for (OTEL_EXPORTER_OTLP_ENDPOINT, the standard variable) and OpenTelemetry is installed: an
application without it has no open span.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import grpc

from ratchet.client.channel import Sending

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


def traced(channel: grpc.Channel, environ: Mapping[str, str] = os.environ) -> grpc.Channel:
    """The channel, whose calls carry the open span as W3C trace context."""
    if not environ.get(ENDPOINT_VARIABLE):
        return channel
    try:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ModuleNotFoundError:
        return channel

    propagator = TraceContextTextMapPropagator()

    def context() -> Iterable[tuple[str, str]]:
        carried: dict[str, str] = {}
        propagator.inject(carried)
        return carried.items()

    return grpc.intercept_channel(channel, Sending(context))
