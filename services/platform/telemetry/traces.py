"""OpenTelemetry traces: a span for each call, in its caller's trace, exported to OTEL_EXPORTER_OTLP_ENDPOINT if set.

A call without a caller's trace begins a trace with ids derived from its request id. The log keeps request ids, so later
work for the request, above all a training session, joins its trace from another thread and after a restart.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.platform.telemetry.observed_call import ObservedCall

EXPORT_SECONDS = 5.0
TRACEPARENT = ("traceparent", "tracestate")

log = logging.getLogger("ratchet.traces")


class Traces:
    """An Observer that makes a span of each call; `span` makes spans of background work."""

    def __init__(self, service: str, exporter: SpanExporter) -> None:
        self._ids = _IdGenerator()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": f"ratchet-{service}"}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ratchet")
        self._propagator = TraceContextTextMapPropagator()
        self._open: dict[ObservedCall, Span | int] = {}

    def on_start(self, call: ObservedCall) -> None:
        """Begins a span in the caller's trace; without one, the span begins with the request."""
        sent = {key: value for key, value in call.context.invocation_metadata() if key in TRACEPARENT}
        parent = self._propagator.extract(sent, Context())
        if trace.get_current_span(parent).get_span_context().is_valid:
            self._begin(call, parent, time.time_ns())
        else:
            self._open[call] = time.time_ns()

    def on_request(self, call: ObservedCall) -> None:
        started = self._open.get(call)
        if isinstance(started, int):
            with self._ids.of(call.request_id):
                self._begin(call, Context(), started)
        elif started is not None and call.request_id:
            started.set_attribute("ratchet.request_id", call.request_id)
            own = _of_request(call.request_id)
            if own.trace_id != started.get_span_context().trace_id:
                started.add_link(own)

    def on_end(self, call: ObservedCall) -> None:
        span = self._open[call]
        if isinstance(span, int):
            span = self._begin(call, Context(), span)
        del self._open[call]
        span.set_attribute("rpc.grpc.status_code", call.code)
        if call.code not in ("OK", "CANCELLED"):
            span.set_status(Status(StatusCode.ERROR, call.code))
        span.end()

    def _begin(self, call: ObservedCall, parent: Context, started: int) -> Span:
        """Starts the span and attaches it until the call ends: gRPC runs each call in a context of its own."""
        span = self._tracer.start_span(
            f"{call.service}/{call.method}",
            parent,
            SpanKind.SERVER,
            {"rpc.system": "grpc", "rpc.service": call.service, "rpc.method": call.method},
            start_time=started,
        )
        if call.request_id:
            span.set_attribute("ratchet.request_id", call.request_id)
        contexts.attach(trace.set_span_in_context(span, Context()))
        self._open[call] = span
        return span

    @contextmanager
    def span(self, name: str, request_id: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """A span of work: a child of this thread's open span, or of the call with the request id."""
        began = NonRecordingSpan(_of_request(request_id)) if request_id else None
        parent = trace.set_span_in_context(began, Context()) if began else None
        with self._tracer.start_as_current_span(name, parent, attributes=attributes):
            yield

    def close(self) -> None:
        """Exports the remaining spans, for EXPORT_SECONDS at most."""
        self._provider.shutdown()


def open_traces(service: str, environ: Mapping[str, str] = os.environ) -> Traces:
    """Exports to the OTLP receiver of the standard variables; an unreachable receiver costs spans, and no call."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return Traces(
        service, LoggingExporter(OTLPSpanExporter(timeout=EXPORT_SECONDS), environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
    )


@contextmanager
def untraced() -> Iterator[None]:
    """Suppresses traces of calls inside, for the health checks of every few seconds."""
    ids = RandomIdGenerator()
    nothing = SpanContext(ids.generate_trace_id(), ids.generate_span_id(), False, TraceFlags(TraceFlags.DEFAULT))
    token = contexts.attach(trace.set_span_in_context(NonRecordingSpan(nothing), Context()))
    try:
        yield
    finally:
        contexts.detach(token)


class LoggingExporter(SpanExporter):
    """Wraps `inner`, and logs once when it stops accepting spans and once when it accepts them again."""

    def __init__(self, inner: SpanExporter, endpoint: str) -> None:
        self._inner, self._endpoint, self._silent = inner, endpoint, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        silent = result is not SpanExportResult.SUCCESS
        if silent and not self._silent:
            log.warning("%s takes no traces: they are lost until it does", self._endpoint)
        if self._silent and not silent:
            log.info("%s takes traces again", self._endpoint)
        self._silent = silent
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _IdGenerator(RandomIdGenerator):
    """Random ids, except for a trace that a request begins."""

    def __init__(self) -> None:
        self._wanted = threading.local()

    @contextmanager
    def of(self, request_id: str) -> Iterator[None]:
        self._wanted.ids = ids_of(request_id) if request_id else None
        try:
            yield
        finally:
            self._wanted.ids = None

    def generate_trace_id(self) -> int:
        ids: tuple[int, int] | None = getattr(self._wanted, "ids", None)
        return ids[0] if ids else super().generate_trace_id()

    def generate_span_id(self) -> int:
        ids: tuple[int, int] | None = getattr(self._wanted, "ids", None)
        return ids[1] if ids else super().generate_span_id()


def ids_of(request_id: str) -> tuple[int, int]:
    """Trace id and span id of a request: 128 and 64 bits of a SHA-256, neither 0."""
    digest = hashlib.sha256(b"ratchet request " + request_id.encode()).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1


def _of_request(request_id: str) -> SpanContext:
    trace_id, span_id = ids_of(request_id)
    return SpanContext(trace_id, span_id, True, TraceFlags(TraceFlags.SAMPLED))
