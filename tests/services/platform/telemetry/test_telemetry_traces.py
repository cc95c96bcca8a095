"""A span for each call, in its caller's trace; a trace of a request's own is found again by the request's id."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ratchet.client import Client
from ratchet.client.health import check_health
from ratchet.client.tracing import with_tracing
from ratchet.errors import NotFound
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from services.platform.error_mapping import map_errors
from services.platform.server import Server
from services.platform.telemetry import Telemetry
from services.platform.telemetry.call_log import trace_id
from services.platform.telemetry.traces import LoggingExporter, Traces, ids_of, open_traces, untraced

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NAME = "ratchet.eventlog.v1.EventLogService"


class Log(eventlog_pb2_grpc.EventLogServiceServicer):
    """Answers in a span of its own, or refuses."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def GetHead(self, request: object, context: object) -> eventlog_pb2.GetHeadResponse:
        with self._telemetry.span("inside"):
            return eventlog_pb2.GetHeadResponse(position=7)

    def Append(self, request: eventlog_pb2.AppendRequest, context: object) -> eventlog_pb2.AppendResponse:
        raise NotFound("no such thing")


class Traced:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.telemetry = Telemetry("registry", "127.0.0.1", {})
        self.traces = self.telemetry.traces = Traces("registry", self.exporter)
        self.telemetry.observed._observers = (self.traces, *self.telemetry.observed._observers)
        self.server = Server("127.0.0.1", 0, (map_errors,), telemetry=self.telemetry)
        self.server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, Log(self.telemetry), NAME)
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.stub = eventlog_pb2_grpc.EventLogServiceStub(self.channel)

    def spans(self) -> dict[str, ReadableSpan]:
        """By name, once the server has stopped."""
        self.channel.close()
        self.server.stop(1)
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def server() -> Iterator[Traced]:
    made = Traced()
    yield made
    made.spans()


def trace_of(span: ReadableSpan) -> int:
    return span.get_span_context().trace_id


def test_a_call_is_a_span_of_its_callers_trace_and_what_it_does_is_within(server: Traced) -> None:
    server.stub.GetHead(eventlog_pb2.GetHeadRequest(), metadata=(("traceparent", f"00-{TRACE}-{SPAN}-01"),))
    spans = server.spans()
    call, inside = spans["EventLogService/GetHead"], spans["inside"]
    assert trace_of(call) == trace_of(inside) == int(TRACE, 16)
    assert call.parent is not None
    assert inside.parent is not None
    assert call.parent.span_id == int(SPAN, 16)
    assert inside.parent.span_id == call.get_span_context().span_id
    assert dict(call.attributes or {})["rpc.grpc.status_code"] == "OK"
    assert call.resource.attributes["service.name"] == "ratchet-registry"


def test_a_request_with_an_id_begins_the_trace_that_its_id_names(server: Traced) -> None:
    with pytest.raises(grpc.RpcError):
        server.stub.Append(eventlog_pb2.AppendRequest(request_id="r1"))
    with server.telemetry.span("later, in another thread", "r1"):
        pass
    spans = server.spans()
    call, later = spans["EventLogService/Append"], spans["later, in another thread"]
    assert (trace_of(call), call.get_span_context().span_id) == ids_of("r1")
    assert call.parent is None
    assert dict(call.attributes or {})["ratchet.request_id"] == "r1"
    assert later.parent is not None
    assert (trace_of(later), later.parent.span_id) == ids_of("r1")
    assert not call.status.is_ok


def test_a_callers_own_trace_is_linked_to_that_of_the_request(server: Traced) -> None:
    with pytest.raises(grpc.RpcError):
        server.stub.Append(
            eventlog_pb2.AppendRequest(request_id="r1"), metadata=(("traceparent", f"00-{TRACE}-{SPAN}-01"),)
        )
    call = server.spans()["EventLogService/Append"]
    assert trace_of(call) == int(TRACE, 16)
    assert dict(call.attributes or {})["ratchet.request_id"] == "r1"
    assert [(link.context.trace_id, link.context.span_id) for link in call.links] == [ids_of("r1")]


def test_a_traceparent_that_is_none_begins_a_trace(server: Traced) -> None:
    server.stub.GetHead(eventlog_pb2.GetHeadRequest(), metadata=(("traceparent", "00-zz-" + "9" * 400),))
    assert server.spans()["EventLogService/GetHead"].parent is None


def test_a_call_whose_request_can_not_be_read_is_a_span_too(server: Traced) -> None:
    with pytest.raises(grpc.RpcError):
        server.channel.unary_unary(f"/{NAME}/GetHead")(b"\xff\xff\xff")
    call = server.spans()["EventLogService/GetHead"]
    assert (call.parent, call.status.is_ok) == (None, False)


def test_a_thread_is_of_no_trace_when_its_call_is_over(server: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Health is asked of the same threads, and is not traced."""
    found: list[str | None] = []
    monkeypatch.setattr(Telemetry, "url", property(lambda _: found.append(trace_id()) or ""))
    for _ in range(10):
        server.stub.GetHead(eventlog_pb2.GetHeadRequest())
        check_health(server.channel)
    assert found == [None] * 10


def test_what_one_call_began_is_not_the_parent_of_the_next(server: Traced) -> None:
    for _ in range(8):
        server.stub.GetHead(eventlog_pb2.GetHeadRequest())
    server.spans()
    calls = [span for span in server.exporter.get_finished_spans() if span.name == "EventLogService/GetHead"]
    assert len({trace_of(span) for span in calls}) == len(calls) == 8


def test_clients_carry_the_open_span_only_where_traces_are_asked_for(server: Traced) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert with_tracing(server.channel, {}) is server.channel
    stub = eventlog_pb2_grpc.EventLogServiceStub(with_tracing(server.channel, asked))
    with server.traces.span("mine", "", {}):
        stub.GetHead(eventlog_pb2.GetHeadRequest())
    spans = server.spans()
    parent = spans["EventLogService/GetHead"].parent
    assert parent is not None
    assert parent.span_id == spans["mine"].get_span_context().span_id


def test_calls_that_a_service_makes_to_look_after_itself_leave_nothing(server: Traced) -> None:
    stub = eventlog_pb2_grpc.EventLogServiceStub(with_tracing(server.channel, {"OTEL_EXPORTER_OTLP_ENDPOINT": "x"}))
    with untraced():
        stub.GetHead(eventlog_pb2.GetHeadRequest())
    assert server.spans() == {}


def test_ids_of_a_request_are_valid_and_its_own() -> None:
    made = [ids_of(str(number)) for number in range(200)]
    assert len({trace for trace, _ in made}) == len({span for _, span in made}) == 200
    assert all(0 < trace < 2**128 and 0 < span < 2**64 for trace, span in made)


def test_a_receiver_that_is_gone_costs_spans_no_call_and_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setattr("services.platform.telemetry.traces.EXPORT_SECONDS", 0.2)
    telemetry = Telemetry("registry", "127.0.0.1")
    server = Server("127.0.0.1", 0, (map_errors,), telemetry=telemetry)
    server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, Log(telemetry), NAME)
    server.start()
    with caplog.at_level(logging.INFO), Client(f"127.0.0.1:{server.port}") as client:
        for _ in range(20):
            assert client.get_head().position == 7
            while not [record for record in caplog.records if "takes no traces" in record.getMessage()]:
                client.get_head()
        server.stop(0)
    assert len([record for record in caplog.records if "trace" in record.getMessage()]) == 1


def test_the_return_of_a_receiver_is_told(caplog: pytest.LogCaptureFixture) -> None:
    inner = InMemorySpanExporter()
    patient = LoggingExporter(inner, "http://somewhere")
    with caplog.at_level(logging.INFO):
        inner.shutdown()
        for _ in range(3):
            patient.export([])
        inner._stopped = False
        for _ in range(3):
            patient.export([])
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [
        "http://somewhere takes no traces",
        "http://somewhere takes traces again",
    ]


def test_traces_are_made_only_where_they_are_asked_for() -> None:
    assert Telemetry("registry", "127.0.0.1", {}).traces is None
    assert open_traces.__module__ == "services.platform.telemetry.traces"
