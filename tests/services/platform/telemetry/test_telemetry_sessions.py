"""The steps of a session are measured, and stand in the trace of the request that began it, whoever runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from ratchet.errors import Unreachable, WorkerLost
from ratchet.registry.v1 import registry_pb2
from services.platform.artifacts import open_store
from services.platform.artifacts.retry import RetryPolicy
from services.platform.telemetry import Telemetry
from services.platform.telemetry.artifact_store import CountedStore, store_check
from services.platform.telemetry.traces import Traces, ids_of
from services.trainer import telemetry as trainer_telemetry
from services.trainer.sessions.scheduler import Report, Training
from services.trainer.telemetry import ObservedRunner
from tests.support.datasets import dataset
from tests.support.observed_registry import Watched

JOB = SimpleNamespace(model_type="logistic")
NOBODY = "127.0.0.1:1"


@dataclass
class Steps:
    """A runner that does next to nothing, and fails where it is told to."""

    fails: str = ""

    def read_inputs(self, training: Training) -> SimpleNamespace:
        if self.fails == "gather":
            raise Unreachable("not there")
        return JOB

    def train(self, job: object, report: Report) -> SimpleNamespace:
        for phase, fraction in (("features", 0.0), ("features", 0.1), ("training", 0.3)):
            report(phase, fraction)
        if self.fails == "work":
            raise WorkerLost("it died")
        return SimpleNamespace(cpu_seconds=2.5)

    def record(self, training: Training, job: object, outcome: object) -> Training:
        ended = Training()
        ended.CopyFrom(training)
        ended.ended_at.FromNanoseconds(training.requested_at.ToNanoseconds() + 1_500_000_000)
        return ended


def run(runner: ObservedRunner, training: Training) -> list[str]:
    """All three steps; the phases that were reported."""
    phases: list[str] = []
    job = runner.read_inputs(training)
    outcome = runner.train(job, lambda phase, fraction: phases.append(phase))
    runner.record(training, job, outcome)
    return phases


def requested(watched: Watched, request_id: str) -> Training:
    watched.client.register_dataset(dataset("AAPL", "a" * 64))
    asked = registry_pb2.RequestTrainingRequest(
        request_id=request_id, lineage="AAPL/range/logistic", dataset_digest="a" * 64
    )
    return watched.client.request_training(asked)


def test_a_session_joins_the_trace_of_its_request_whoever_takes_it_up(watched: Watched) -> None:
    training = requested(watched, "begin-1")
    exporter = InMemorySpanExporter()
    telemetry = Telemetry("trainer", "127.0.0.1", {})
    telemetry.traces = Traces("trainer", exporter)
    assert run(ObservedRunner(Steps(), watched.client, telemetry, 2), training) == [
        "features",
        "features",
        "training",
    ]
    telemetry.close()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert spans.keys() == {"gather", "work", "features", "training", "record"}
    assert {span.get_span_context().trace_id for span in spans.values()} == {ids_of("begin-1")[0]}
    for step in ("gather", "work", "record"):
        parent = spans[step].parent
        assert parent is not None
        assert parent.span_id == ids_of("begin-1")[1]
        assert dict(spans[step].attributes or {})["ratchet.session_id"] == training.session_id
    inner = spans["training"].parent
    assert inner is not None
    assert inner.span_id == spans["work"].get_span_context().span_id


def test_a_session_is_timed_and_its_cpu_counted(watched: Watched) -> None:
    telemetry = Telemetry("trainer", "127.0.0.1", {})
    run(ObservedRunner(Steps(), watched.client, telemetry, 2), requested(watched, "begin-1"))
    value = telemetry.metrics.registry.get_sample_value
    assert value("ratchet_session_seconds_sum", {"model_type": "logistic"}) == 1.5
    assert value("ratchet_training_cpu_seconds_total", {"model_type": "logistic"}) == 2.5
    assert value("ratchet_workers") == 2
    for step in ("gather", "work", "record"):
        assert value("ratchet_session_step_seconds_count", {"step": step}) == 1
        assert value("ratchet_sessions_running", {"step": step}) == 0


@pytest.mark.parametrize("step", ["gather", "work"])
def test_a_step_that_fails_is_over(watched: Watched, step: str) -> None:
    telemetry = Telemetry("trainer", "127.0.0.1", {})
    with pytest.raises((Unreachable, WorkerLost)):
        run(ObservedRunner(Steps(fails=step), watched.client, telemetry, 1), requested(watched, "begin-1"))
    assert telemetry.metrics.registry.get_sample_value("ratchet_sessions_running", {"step": step}) == 0
    assert (
        telemetry.metrics.registry.get_sample_value("ratchet_session_seconds_count", {"model_type": "logistic"}) is None
    )


OPERATIONS: dict[str, Callable[[CountedStore], object]] = {
    "put": lambda store: store.put(b"bytes"),
    "get": lambda store: store.get("a" * 64),
    "has": lambda store: store_check(store).ask(),
    "digests": lambda store: list(store.digests()),
    "written_at": lambda store: store.written_at("a" * 64),
    "remove": lambda store: store.remove("a" * 64),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_errors_of_the_artifact_store_are_counted_and_fail_its_check(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.platform.artifacts.s3_store.DEFAULT_RETRY", RetryPolicy(tries=1))
    registry = CollectorRegistry()
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    store = CountedStore(open_store(f"s3://artifacts?endpoint=http://{NOBODY}", keys), registry)
    with pytest.raises(Unreachable):
        OPERATIONS[operation](store)
    counted = {"operation": operation, "reason": "UNREACHABLE"}
    assert registry.get_sample_value("ratchet_artifact_errors_total", counted) == 1


def test_an_artifact_that_is_not_there_is_no_error_of_the_store(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    store = CountedStore(open_store(tmp_path.as_uri()), registry)
    store_check(store).ask()
    with pytest.raises(Exception, match="is not in"):
        store.get("a" * 64)
    digest = store.put(b"bytes")
    assert (store.get(digest), list(store.digests()), store.has(digest)) == (b"bytes", [digest], True)
    assert store.written_at(digest).tzinfo is not None
    store.remove(digest)
    assert not store.has(digest)
    assert next(iter(registry.collect())).samples == []


def test_a_dask_scheduler_that_is_not_there_is_named_and_own_processes_need_no_check() -> None:
    assert trainer_telemetry.worker_checks("local:2") == ()
    [check] = trainer_telemetry.worker_checks(f"dask://{NOBODY}?at_once=3")
    assert check.name == "workers"
    with pytest.raises(Unreachable, match=rf"no Dask scheduler answers at {NOBODY}"):
        check.ask()
