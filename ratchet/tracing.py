"""Calls carry the span that is open where they are made, so that a trace goes on in the service that is called.

Only where traces are asked for: OTEL_EXPORTER_OTLP_ENDPOINT, the standard variable. Elsewhere nothing is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import grpc

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


def traced(channel: grpc.Channel, environ: Mapping[str, str] = os.environ) -> grpc.Channel:
    """The channel, whose calls carry the open span as W3C trace context."""
    return grpc.intercept_channel(channel, _Carrier()) if environ.get(ENDPOINT_VARIABLE) else channel


class _Carrier(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # generic in its stub only
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    def __init__(self) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._inject = TraceContextTextMapPropagator().inject

    def _call(self, continuation: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        carried: dict[str, str] = {}
        self._inject(carried)
        return continuation(details._replace(metadata=(*(details.metadata or ()), *carried.items())), request)

    intercept_unary_unary = intercept_unary_stream = _call  # type: ignore[assignment]
    intercept_stream_unary = intercept_stream_stream = _call  # type: ignore[assignment]
