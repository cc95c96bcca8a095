"""Telemetry of training sessions: running steps, their duration and CPU seconds, and a span per step in the trace of
the request that began the session."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client import Counter, Gauge, Histogram

from ratchet.client import Client
from ratchet.errors import Unreachable
from ratchet.events.v1 import envelope_pb2
from services.platform.telemetry import Check, Telemetry
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.sessions.scheduler import Report, Runner, Training

SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
CONNECT_SECONDS = 2.0


@dataclass(frozen=True)
class _Run:
    session_id: str
    request_id: str


class ObservedRunner:
    """Runner that measures the steps of `inner`. One thread runs all steps of a session, one session at a time."""

    def __init__(
        self, inner: Runner[SessionInputs, SessionOutcome], client: Client, telemetry: Telemetry, at_once: int
    ) -> None:
        self._inner, self._client, self._telemetry = inner, client, telemetry
        self._thread = threading.local()
        registry = telemetry.metrics.registry
        Gauge("ratchet_workers", "Sessions that can be trained at once", registry=registry).set(at_once)
        self._running = Gauge("ratchet_sessions_running", "Sessions in a step now", ("step",), registry=registry)
        self._steps = Histogram(
            "ratchet_session_step_seconds",
            "How long a step of a session took",
            ("step",),
            buckets=SECONDS,
            registry=registry,
        )
        self._seconds = Histogram(
            "ratchet_session_seconds",
            "From the request of a session to its model in the log, waiting included",
            ("model_type",),
            buckets=SECONDS,
            registry=registry,
        )
        self._cpu = Counter(
            "ratchet_training_cpu_seconds",
            "CPU spent by sessions that ended with a model",
            ("model_type",),
            registry=registry,
        )

    def read_inputs(self, training: Training) -> SessionInputs:
        with self._step("gather", training):
            return self._inner.read_inputs(training)

    def train(self, job: SessionInputs, report: Report) -> SessionOutcome:
        with self._step("work", None), ExitStack() as phase_span:
            current = ""

            def observed(phase: str, fraction: float) -> None:
                nonlocal current
                if phase != current:
                    current = phase
                    phase_span.close()
                    phase_span.enter_context(self._telemetry.span(phase))
                report(phase, fraction)

            return self._inner.train(job, observed)

    def record(self, training: Training, job: SessionInputs, outcome: SessionOutcome) -> Training:
        with self._step("record", training):
            ended = self._inner.record(training, job, outcome)
        self._seconds.labels(job.model_type).observe(_seconds_between(ended))
        self._cpu.labels(job.model_type).inc(outcome.cpu_seconds)
        return ended

    @contextmanager
    def _step(self, name: str, training: Training | None) -> Iterator[None]:
        """Measures one step. `training`: None for the training whose inputs this thread has read."""
        run = self._run(training)
        attributes = {"ratchet.session_id": run.session_id} if run else {}
        with (
            self._running.labels(name).track_inprogress(),
            self._steps.labels(name).time(),
            self._telemetry.span(name, run.request_id if run else "", **attributes),
        ):
            yield

    def _run(self, training: Training | None) -> _Run | None:
        """The session of this thread, if traces are exported; the log knows the request that began the session."""
        if self._telemetry.traces is None:
            return None
        known: _Run | None = getattr(self._thread, "run", None)
        if training is None or (known and known.session_id == training.session_id):
            return known
        position = training.requested_position
        [event] = self._client.read_log(position, position)
        request_id = envelope_pb2.Envelope.FromString(event.state).request_id
        run = self._thread.run = _Run(training.session_id, request_id)
        return run


def _seconds_between(ended: Training) -> float:
    return max(0.0, (ended.ended_at.ToNanoseconds() - ended.requested_at.ToNanoseconds()) / 1e9)


def worker_checks(url: str) -> tuple[Check, ...]:
    """Health check of the workers: the scheduler of a Dask cluster must accept connections. Local processes need no
    check: the trainer replaces a dead process on the next job."""
    if not url.startswith("dask://"):
        return ()
    scheduler = urlsplit(url)

    def check() -> None:
        try:
            socket.create_connection((scheduler.hostname or "", scheduler.port or 0), CONNECT_SECONDS).close()
        except OSError as error:
            raise Unreachable(
                f"no Dask scheduler answers at {scheduler.netloc} ({error.strerror or error}); start it, or correct"
                " RATCHET_WORKERS"
            ) from error

    return (Check("workers", check),)
