"""Every call is counted, timed and seen while it runs, by service, method and code; and so is what the log gains."""

from __future__ import annotations

import importlib.metadata
import socket
import ssl
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError

import grpc
import pytest
from prometheus_client import CollectorRegistry

from ratchet.cli import certs
from ratchet.errors import InvalidInput, NotFound, PreconditionFailed
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.registry.v1 import registry_pb2
from services.platform.telemetry.endpoint import MetricsAddress, MetricsEndpoint
from tests.support.datasets import dataset
from tests.support.observed_registry import Watched, registry_on
from tests.support.registry_samples import evidence, record, stamp
from tests.support.waiting import until

REGISTRY = {"service": "RegistryService"}
LOG = {"service": "EventLogService"}
PAIR = {"RATCHET_TLS_CERT": "c", "RATCHET_TLS_KEY": "k", "RATCHET_TLS_CA": "a"}


def test_a_call_is_counted_by_its_code_and_timed(watched: Watched) -> None:
    list(watched.client.list_models(lineage="AAPL/range/logistic"))
    with pytest.raises(NotFound):
        watched.client.get_champion("AAPL/range/logistic")

    def counted(method: str, code: str) -> float | None:
        return watched.metric("ratchet_requests_total", **REGISTRY, method=method, code=code)

    assert until(lambda: counted("GetChampion", "NOT_FOUND") == 1)
    assert counted("ListModels", "OK") == 1
    assert counted("GetChampion", "OK") is None
    assert watched.metric("ratchet_request_seconds_count", **REGISTRY, method="GetChampion") == 1
    assert 0 < (watched.metric("ratchet_request_seconds_sum", **REGISTRY, method="GetChampion") or 0) < 5


def test_a_subscription_is_in_flight_until_its_caller_leaves(watched: Watched) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{watched.server.port}") as channel:
        stub = eventlog_pb2_grpc.EventLogServiceStub(channel)
        following = stub.Subscribe(eventlog_pb2.SubscribeRequest())
        next(following)
        assert watched.metric("ratchet_requests_in_flight", **LOG, method="Subscribe") == 1
        following.cancel()
    assert until(lambda: watched.metric("ratchet_requests_in_flight", **LOG, method="Subscribe") == 0)
    assert watched.metric("ratchet_requests_total", **LOG, method="Subscribe", code="CANCELLED") == 1


def test_a_deadline_that_passed_is_told_from_a_caller_that_left(watched: Watched) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{watched.server.port}") as channel:
        stub = eventlog_pb2_grpc.EventLogServiceStub(channel)
        following = stub.Subscribe(eventlog_pb2.SubscribeRequest(), timeout=0.3)
        with pytest.raises(grpc.RpcError):
            list(following)
    expired = {**LOG, "method": "Subscribe", "code": "DEADLINE_EXCEEDED"}
    assert until(lambda: watched.metric("ratchet_requests_total", **expired) == 1)


@pytest.mark.usefixtures("often")
def test_what_the_log_gained_is_shown_with_how_sessions_ended(watched: Watched) -> None:
    watched.client.register_dataset(dataset("AAPL", "a" * 64))
    ended: list[Callable[[str], object]] = [
        lambda session: watched.client.fail_training(
            registry_pb2.FailTrainingRequest(session_id=session, reason="WORKER_LOST", message="m")
        ),
        lambda session: watched.client.fail_training(
            registry_pb2.FailTrainingRequest(session_id=session, reason="WHATEVER_ANYBODY_SAYS", message="m")
        ),
        lambda session: watched.client.record_cancellation(registry_pb2.CancelTrainingRequest(session_id=session)),
        lambda session: None,
    ]
    for end in ended:
        asked = registry_pb2.RequestTrainingRequest(lineage="AAPL/range/logistic", dataset_digest="a" * 64)
        end(watched.client.request_training(asked).session_id)
    assert until(lambda: watched.metric("ratchet_log_position") == watched.client.get_head().position)

    def ends(end: str, reason: str = "") -> float | None:
        return watched.metric("ratchet_sessions_ended_total", end=end, reason=reason)

    assert (ends("failed", "WORKER_LOST"), ends("failed", "OTHER"), ends("cancelled")) == (1, 1, 1)
    assert watched.metric("ratchet_sessions_open") == 1
    requested = facts_pb2.TrainingRequested.DESCRIPTOR.full_name
    assert watched.metric("ratchet_log_events_total", topic=requested) == 4
    assert watched.metric("ratchet_log_commits_total") == 8


def trained(watched: Watched, fit_end: int, champion: str) -> None:
    """A version of a lineage; from the second on, one that differs from the champion by noise."""
    asked = registry_pb2.RequestTrainingRequest(lineage="AAPL/range/logistic", dataset_digest="a" * 64)
    request = registry_pb2.RecordTrainingRequest(
        session_id=watched.client.request_training(asked).session_id,
        record=record(fit_end, parent=champion),
        expected_champion=champion,
        expected_symbol_best=champion,
        last_labelled_bar=stamp(fit_end + 100),
    )
    if champion:
        request.comparisons.add(champion=champion, packed=evidence(fit_end + 1, fit_end + 100, 0.0))
    watched.client.record_training(request)


@pytest.mark.usefixtures("often")
def test_sessions_that_trained_are_shown_by_what_was_decided_and_patterns_by_their_state(watched: Watched) -> None:
    watched.client.register_dataset(dataset("AAPL", "a" * 64))
    trained(watched, 100, "")
    trained(watched, 200, "AAPL/range/logistic/v1")
    found = facts_pb2.PatternDiscovered(pattern=pattern_pb2.Pattern(id="7f", series="AAPL", task="range"))
    found.state = pattern_pb2.PATTERN_STATE_KEPT
    event = eventlog_pb2.NewEvent(
        stream="pattern/7f", version=1, topic=found.DESCRIPTOR.full_name, payload=found.SerializeToString()
    )
    watched.client.append(eventlog_pb2.AppendRequest(request_id="found", events=[event]))
    assert until(lambda: watched.metric("ratchet_log_position") == watched.client.get_head().position)

    def ends(end: str, reason: str = "") -> float | None:
        return watched.metric("ratchet_sessions_ended_total", end=end, reason=reason)

    assert (ends("promoted"), ends("declined", "INCONCLUSIVE")) == (1, 1)
    assert watched.metric("ratchet_patterns", state="KEPT") == 1


def test_what_runs_here_is_shown(watched: Watched) -> None:
    version = importlib.metadata.version("ratchet-models")
    assert watched.metric("ratchet_build_info", service="registry", version=version) == 1


def test_metrics_are_served_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_METRICS", "127.0.0.1:1")
    monkeypatch.setenv("RATCHET_METRICS_REGISTRY", "127.0.0.1:0")
    with registry_on(tmp_path) as watched:
        url = watched.health().metrics
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert b"ratchet_log_position 1.0" in answer.read()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)


def test_a_metrics_port_that_is_taken_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("RATCHET_METRICS", f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(PreconditionFailed, match="RATCHET_METRICS_REGISTRY"), registry_on(tmp_path):
            pass


def test_beyond_this_machine_only_callers_of_its_authority_are_served(tmp_path: Path) -> None:
    certs.write_certificates(tmp_path, (), datetime.now(UTC))
    ca, server, client = (str(tmp_path / name) for name in ("ca.pem", "server", "client"))
    endpoint = MetricsEndpoint(
        MetricsAddress("127.0.0.1", 0, (f"{server}.pem", f"{server}.key", ca)), CollectorRegistry()
    )
    nobody = ssl.create_default_context(cafile=ca)
    known = ssl.create_default_context(cafile=ca)
    known.load_cert_chain(f"{client}.pem", f"{client}.key")
    try:
        assert endpoint.url.startswith("https://")
        with urllib.request.urlopen(endpoint.url, timeout=5, context=known) as answer:
            assert answer.status == 200
        with pytest.raises((URLError, ssl.SSLError, ConnectionError)):
            urllib.request.urlopen(endpoint.url, timeout=5, context=nobody).read()
    finally:
        endpoint.close()


def test_nothing_is_served_that_was_not_asked_for(watched: Watched) -> None:
    assert watched.health().metrics == ""


@pytest.mark.parametrize(
    ("text", "host", "environ", "served"),
    [
        ("", "127.0.0.1", {}, None),
        ("127.0.0.1:9301", "127.0.0.1", {}, MetricsAddress("127.0.0.1", 9301)),
        ("[::1]:9301", "0.0.0.0", {}, MetricsAddress("::1", 9301)),
        ("0.0.0.0:9301", "0.0.0.0", {}, MetricsAddress("0.0.0.0", 9301)),
        ("0.0.0.0:9301", "0.0.0.0", PAIR, MetricsAddress("0.0.0.0", 9301, ("c", "k", "a"))),
        ("127.0.0.1:9301", "0.0.0.0", PAIR, MetricsAddress("127.0.0.1", 9301)),
    ],
)
def test_metrics_go_no_further_than_their_service_and_under_its_tls(
    text: str, host: str, environ: dict[str, str], served: MetricsAddress | None
) -> None:
    assert MetricsAddress.load("registry", host, {"RATCHET_METRICS": text, **environ}) == served


@pytest.mark.parametrize("text", ["9301", "127.0.0.1:", "127.0.0.1:x", ":9301", "127.0.0.1:70000", "0.0.0.0:9301"])
def test_what_is_no_address_or_opens_more_than_the_service_does_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="RATCHET_METRICS"):
        MetricsAddress.load("registry", "127.0.0.1", {"RATCHET_METRICS": text})
