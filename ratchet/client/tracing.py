"""Trace context propagation: calls carry the current span, so that the called service continues the trace.

Enabled by OTEL_EXPORTER_OTLP_ENDPOINT, the standard variable, with OpenTelemetry installed: an application without it
has no current span.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import grpc

from ratchet.client.channel import MetadataInterceptor

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


def with_tracing(channel: grpc.Channel, environ: Mapping[str, str] = os.environ) -> grpc.Channel:
    """The channel with an interceptor that adds the current span as W3C trace context."""
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

    return grpc.intercept_channel(channel, MetadataInterceptor(context))
