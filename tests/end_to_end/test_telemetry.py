"""What three real services show of themselves: one trace a session, metrics, JSON lines, health."""

import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ratchet.client.channel import open_channel
from ratchet.client.credentials import Credentials
from ratchet.client.health import LIVE, HealthStatus, check_health
from ratchet.client.services import SERVICES
from ratchet.errors import NotFound
from ratchet.events.v1 import envelope_pb2
from ratchet.registry.v1 import registry_pb2
from services.platform.telemetry.traces import ids_of
from tests.support.otlp_receiver import Receiver, Sent, receiving
from tests.support.running import Running, running
from tests.support.waiting import until

SOON = 30.0


def health(services: Running, service: str, name: str = "") -> HealthStatus:
    with open_channel(asdict(services.client.endpoints)[service], Credentials()) as channel:
        return check_health(channel, name)


def samples(services: Running, service: str) -> dict[str, float]:
    """The sum of each metric of a service, over its labels."""
    with urllib.request.urlopen(health(services, service).metrics, timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found: dict[str, float] = {}
    for sample in (sample for family in families for sample in family.samples):
        found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def watched(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Services that show all they can."""
    shown = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "RATCHET_METRICS": "127.0.0.1:0",
        "RATCHET_LOG_FORMAT": "json",
        "RATCHET_WORKERS": "local:1",
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in shown.items():
            patched.setenv(name, value)
        services = running(tmp_path_factory.mktemp("watched"))
        started = services.__enter__()
    try:
        started.import_bars("AAPL")
        yield started
    finally:
        services.__exit__(None, None, None)


@pytest.fixture(scope="module")
def session(watched: Running) -> registry_pb2.Training:
    return watched.train()


@pytest.fixture(scope="module")
def trace(watched: Running, receiver: Receiver, session: registry_pb2.Training) -> list[Sent]:
    """The spans of the session's trace, whose id the log leads to."""
    position = session.requested_position
    [requested] = watched.client.read_log(position, position)
    trace_id, _ = ids_of(envelope_pb2.Envelope.FromString(requested.state).request_id)

    def found() -> list[Sent]:
        return [span for span in receiver.spans if span.trace == trace_id.to_bytes(16)]

    assert until(lambda: "TrainerService/StartTraining" in {span.name for span in found()}, SOON)
    assert until(lambda: {"record", "RegistryService/RecordTraining"} <= {span.name for span in found()}, SOON)
    assert until(lambda: {span.parent for span in found() if span.parent} <= {span.id for span in found()}, SOON)
    return found()


def test_one_trace_leads_from_the_request_of_a_session_to_its_decision(trace: list[Sent]) -> None:
    assert {span.service for span in trace} == {"ratchet-registry", "ratchet-knowledge", "ratchet-trainer"}
    by_id = {span.id: span for span in trace}
    [root] = [span for span in trace if not span.parent]
    assert root.name == "TrainerService/StartTraining"
    parents = {(span.name, by_id[span.parent].name) for span in trace if span.parent}
    assert {
        ("RegistryService/RequestTraining", "TrainerService/StartTraining"),
        ("gather", "TrainerService/StartTraining"),
        ("RegistryService/GetSessionInputs", "gather"),
        ("KnowledgeService/GetKnowledge", "gather"),
        ("work", "TrainerService/StartTraining"),
        ("training", "work"),
        ("record", "TrainerService/StartTraining"),
        ("KnowledgeService/RecordEvidence", "record"),
        ("EventLogService/Append", "KnowledgeService/RecordEvidence"),
        ("RegistryService/RecordTraining", "record"),
    } <= parents


def test_the_steps_of_a_session_name_it(trace: list[Sent], session: registry_pb2.Training) -> None:
    steps = [span for span in trace if span.name in ("gather", "work", "record")]
    assert {span.attributes["ratchet.session_id"] for span in steps} == {session.session_id}


@pytest.mark.slow
def test_a_service_that_looks_after_itself_leaves_no_trace(
    watched: Running, receiver: Receiver, trace: list[Sent]
) -> None:
    def asked() -> float:
        return samples(watched, "registry")["ratchet_requests_total"]

    before, spans = asked(), len(receiver.spans)
    assert until(lambda: asked() > before + 1, SOON)
    next(watched.client.list_trainings())
    assert until(lambda: "RegistryService/ListTrainings" in {span.name for span in receiver.spans[spans:]}, SOON)
    assert "EventLogService/GetHead" not in {span.name for span in receiver.spans[spans:]}


def test_metrics_tell_of_the_session(watched: Running, session: registry_pb2.Training) -> None:
    assert until(lambda: samples(watched, "registry").get("ratchet_sessions_ended_total", 0.0) >= 1, SOON)
    registry, knowledge, trainer = (samples(watched, name) for name in ("registry", "knowledge", "trainer"))
    assert registry["ratchet_log_position"] >= session.requested_position
    assert registry["ratchet_log_events_total"] >= registry["ratchet_log_commits_total"] >= 3
    assert registry["ratchet_requests_in_flight"] >= 1, "knowledge's subscription is open"
    assert knowledge["ratchet_knowledge_position"] > 0
    assert knowledge["ratchet_knowledge_lag"] == 0
    assert trainer["ratchet_session_seconds_count"] >= 1
    assert trainer["ratchet_training_cpu_seconds_total"] > 0
    assert trainer["process_resident_memory_bytes"] > 0


def test_no_label_holds_a_name_that_a_caller_chose(watched: Running, session: registry_pb2.Training) -> None:
    for service in SERVICES:
        with urllib.request.urlopen(health(watched, service).metrics, timeout=5) as answer:
            exported = answer.read().decode()
        for chosen in ("AAPL", "tester", session.session_id, session.request.dataset_digest):
            assert chosen not in exported


def test_a_call_that_failed_is_one_line_of_json(watched: Running, session: registry_pb2.Training) -> None:
    with pytest.raises(NotFound):
        watched.client.get_champion("AAPL/volume/logistic")
    with pytest.raises(NotFound):
        watched.client.promote_model("AAPL/range/logistic/v9", "", "why not", request_id='one\n"two"')
    log = watched.home / "logs" / "registry.log"
    assert until(lambda: "PromoteModel" in log.read_text(), SOON)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    calls = [line for line in lines if line["event"] == "call" and line["caller"] == "tester"]
    champion, promotion = (
        next(call for call in calls if call["method"] == f"RegistryService/{name}")
        for name in ("GetChampion", "PromoteModel")
    )
    assert (champion["level"], champion["service"], champion["code"]) == ("info", "registry", "NOT_FOUND")
    assert champion["time"].endswith("Z")
    assert champion["duration_ms"] > 0
    assert len(champion["trace_id"]) == 32
    assert promotion["request_id"] == 'one\n"two"'
    assert promotion["trace_id"] == format(ids_of('one\n"two"')[0], "032x")
    assert not [call for call in calls if call["code"] == "OK"]


def test_each_service_tells_of_all_that_it_needs(watched: Running) -> None:
    for service, needed in ((name, each.checks) for name, each in SERVICES.items()):
        for name in set(needed) - {"workers"}:
            assert health(watched, service, name).serving, f"{service}: {name}"
    with pytest.raises(grpc.RpcError):
        health(watched, "trainer", "workers")  # processes of its own need no check


@pytest.mark.slow
def test_a_service_whose_peer_stops_is_alive_and_not_ready_until_it_is_back(watched: Running) -> None:
    pid = watched.supervisor.pids()["registry"]
    assert health(watched, "trainer").serving
    os.kill(pid, 19)
    try:
        assert until(lambda: not health(watched, "trainer").serving and not health(watched, "knowledge").serving, SOON)
        assert health(watched, "trainer", LIVE).serving
        assert not health(watched, "trainer", "registry").serving
        assert health(watched, "trainer", "artifacts").serving
        assert "registry" in health(watched, "trainer").wrong
        assert not health(watched, "knowledge", "log").serving
    finally:
        os.kill(pid, 18)
    assert until(lambda: all(health(watched, service).serving for service in SERVICES), SOON)
    log = (watched.home / "logs" / "trainer.log").read_text()
    assert "not serving, because of the registry" in log
    assert "the registry answers again" in log
