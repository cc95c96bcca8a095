"""Schedules training sessions: one more than there are workers, to keep all workers busy; one per lineage at a time.

The log holds all state. A session without an end in the log is open, and a restarted trainer resumes the open sessions;
the request ids of all writes derive from the session id, so that a repeated session ends once.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from ratchet.client import Client
from ratchet.errors import Busy, Internal, LogFull, NotFound, PreconditionFailed, RatchetError, Unreachable
from ratchet.registry.v1 import registry_pb2
from services.platform.validation import LONGEST_TEXT

log = logging.getLogger("ratchet.trainer")

Value = TypeVar("Value")
Training = registry_pb2.Training
Report = Callable[[str, float], None]
OnRetry = Callable[[RatchetError], None]
Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
MAX_TRACKED_SESSIONS = 1000

RETRIED_ERRORS = (Unreachable, Busy, LogFull)
"""Errors that a session retries: no answer, a passed deadline (the write is repeated with its request id), an
overloaded service, and a full log, which could not record a failure either. Every other error is an answer."""


@dataclass(frozen=True)
class Progress:
    """Progress of a session: `fraction` runs from 0 to 1; `ended` is set once, at the end."""

    phase: str
    fraction: float
    text: str = ""
    ended: Training | None = None


@dataclass
class _TrackedSession:
    training: Training
    progress: Progress = field(default_factory=lambda: Progress("waiting", 0.0))
    failure: RatchetError | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def update(self, progress: Progress) -> None:
        with self.changed:
            if self.progress.ended is None and progress != self.progress:
                self.progress = progress
                self.changed.notify_all()

    def set_waiting(self, error: RatchetError) -> None:
        self.update(replace(self.progress, text=f"waiting: {error.message}"))

    def fail(self, error: RatchetError) -> None:
        """Reports to watchers that the session's end could not be recorded."""
        with self.changed:
            self.failure = error
            self.changed.notify_all()


class Runner(Protocol[Job, Outcome]):
    """The three steps of one session. The scheduler may repeat each step when a service does not answer."""

    def read_inputs(self, training: Training) -> Job:
        """Reads the inputs of the session."""

    def train(self, job: Job, report: Report) -> Outcome:
        """Trains the model, in a worker."""

    def record(self, training: Training, job: Job, outcome: Outcome) -> Training:
        """Records the end of the session in the log."""


class _Closing(Exception):
    """The trainer stops: the session stays open in the log, and the next start repeats it."""


class _EndedElsewhere(Exception):
    """The session was cancelled: its further work is useless."""


class SessionScheduler:
    """Queues of sessions by lineage, with the progress of each session for watchers."""

    def __init__(self, client: Client, runner: Runner[Any, Any], at_once: int) -> None:
        self._client = client
        self._runner = runner
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="session")
        self._lock = threading.Lock()
        self._sessions: dict[str, _TrackedSession] = {}
        self._queues: dict[str, list[_TrackedSession]] = {}
        self._abandoned: set[str] = set()
        self._resume_pending = False
        self._closing = threading.Event()

    def resume(self) -> None:
        """Starts every open session of the log, oldest first; waits for the registry."""
        try:
            opened = self._open()
        except _Closing:
            return
        for training in sorted(opened, key=lambda found: found.requested_position):
            log.info("session %s of %s was open: running it", training.session_id, training.lineage)
            self.start(training)

    def resume_in_background(self) -> None:
        """Resumes again in the background: a request with a lost answer may have opened a session in the log."""
        with self._lock:
            if not (self._closing.is_set() or self._resume_pending):
                self._resume_pending = True
                self._threads.submit(self._resume_queued)

    def _resume_queued(self) -> None:
        self._resume_pending = False
        self.resume()

    def start(self, training: Training) -> None:
        """Queues an open session, unless it is queued or running."""
        with self._lock:
            if self._closing.is_set() or training.session_id in self._sessions:
                return
            self._abandoned.discard(training.session_id)
            queued = training.lineage in self._queues
            self._enqueue(training)
            if not queued:
                self._threads.submit(self._run_lineage, training.lineage)

    def _enqueue(self, training: Training) -> None:
        if training.session_id not in self._sessions:
            self._forget_ended()
            session = self._sessions[training.session_id] = _TrackedSession(training)
            self._queues.setdefault(training.lineage, []).append(session)

    def get(self, session_id: str) -> Training:
        """The session in the log; NotFound for an unknown id."""
        for training in self._client.list_trainings(session_id=session_id):
            return training
        raise NotFound(
            f"no training session {session_id}; see ratchet trainings list", fields={"session_id": "unknown"}
        )

    def watch(self, session_id: str, active: Callable[[], bool]) -> Iterator[Progress]:
        """Yields progress until the session's end, skipping outdated progress; stops when `active` returns False.

        Unreachable when the trainer stops; the error that prevented the recording of the session's end is raised.
        """
        session = self._sessions.get(session_id)
        if session is None:
            training = self.get(session_id)
            if training.state != registry_pb2.TRAINING_STATE_OPEN:
                yield Progress("ended", 1.0, ended=training)
                return
            self.start(training)
            session = self._sessions.get(session_id)
        if session is None:
            raise _stopping_error(session_id)
        seen: Progress | None = None
        while active():
            with session.changed:
                if session.progress is seen and session.failure is None:
                    session.changed.wait(0.5)
                now = session.progress
            if now is not seen:
                yield now
            if now.ended is not None:
                return
            if session.failure is not None:
                raise session.failure
            if self._closing.is_set():
                raise _stopping_error(session_id)
            seen = now

    def mark_ended(self, training: Training) -> None:
        """Marks a cancelled session as ended: notifies its watchers, and stops its work."""
        session = self._sessions.get(training.session_id)
        if session is not None:
            session.update(Progress("ended", 1.0, ended=training))

    def close(self) -> None:
        with self._lock:
            self._closing.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget_ended(self) -> None:
        surplus = len(self._sessions) - MAX_TRACKED_SESSIONS
        for session_id in [key for key, session in self._sessions.items() if session.progress.ended][: max(0, surplus)]:
            del self._sessions[session_id]

    def _run_lineage(self, lineage: str) -> None:
        """Runs the next session of the lineage; other lineages get a turn after each session."""
        queue = self._queues[lineage]
        session = queue[0]
        try:
            session = self._oldest(lineage)
            self._run(session)
        except _Closing:
            return
        except Exception as error:  # noqa: BLE001 the next sessions must run after any error
            self._abandon(session, error)
        with self._lock:
            queue.remove(session)
            if queue and not self._closing.is_set():
                self._threads.submit(self._run_lineage, lineage)
            elif not queue:
                del self._queues[lineage]

    def _oldest(self, lineage: str) -> _TrackedSession:
        """The open session of the lineage with the oldest request, including requests through other trainers."""

        def on_retry(error: RatchetError) -> None:
            for session in tuple(self._queues[lineage]):
                session.set_waiting(error)

        opened = self._open(lineage, on_retry)
        with self._lock:
            for training in opened:
                if training.session_id not in self._abandoned:
                    self._enqueue(training)
            return min(self._queues[lineage], key=lambda session: session.training.requested_position)

    def _open(self, lineage: str = "", on_retry: OnRetry = lambda _: None) -> list[Training]:
        state = registry_pb2.TRAINING_STATE_OPEN
        return self._retry_while_unavailable(
            lambda: list(self._client.list_trainings(lineage=lineage, state=state)), on_retry
        )

    def _abandon(self, session: _TrackedSession, error: Exception) -> None:
        """Leaves the session open in the log: the next watch request or restart repeats it."""
        training = session.training
        failure = error if isinstance(error, RatchetError) else _internal_error(training, error)
        log.error("the end of session %s could not be recorded: %s", training.session_id, failure.message)
        with self._lock:
            del self._sessions[training.session_id]
            self._abandoned.add(training.session_id)
        session.fail(failure)

    def _run(self, session: _TrackedSession) -> None:
        training = session.training

        def check_active() -> None:
            if self._closing.is_set():
                raise _Closing
            if session.progress.ended is not None:
                raise _EndedElsewhere

        def report(phase: str, fraction: float) -> None:
            check_active()
            session.update(Progress(phase, fraction))

        def on_retry(error: RatchetError) -> None:
            check_active()
            session.set_waiting(error)

        try:
            check_active()
            known = self._retry_while_unavailable(lambda: self.get(training.session_id), on_retry)
            if known.state != registry_pb2.TRAINING_STATE_OPEN:
                session.update(Progress("ended", 1.0, ended=known))
                return
            job = self._retry_while_unavailable(lambda: self._runner.read_inputs(training), on_retry)
            check_active()
            outcome = self._retry_while_unavailable(lambda: self._runner.train(job, report), on_retry)
            report("recording", 0.98)
            ended = self._retry_while_unavailable(lambda: self._runner.record(training, job, outcome), on_retry)
        except _Closing:
            raise
        except _EndedElsewhere:
            return
        except Exception as error:  # noqa: BLE001 any error ends the session
            if session.progress.ended is not None:
                return
            failure = error if isinstance(error, RatchetError) else _internal_error(training, error)
            log.warning("session %s failed: %s", training.session_id, failure.message)
            ended = self._retry_while_unavailable(lambda: self._fail(training, failure), on_retry)
        session.update(Progress("ended", 1.0, ended=ended))

    def _fail(self, training: Training, failure: RatchetError) -> Training:
        try:
            return self._client.fail_training(
                registry_pb2.FailTrainingRequest(
                    request_id=f"fail/{training.session_id}",
                    session_id=training.session_id,
                    reason=failure.reason,
                    message=failure.message[:LONGEST_TEXT],
                )
            )
        except PreconditionFailed:
            return self.get(training.session_id)

    def _retry_while_unavailable(self, act: Callable[[], Value], on_retry: OnRetry) -> Value:
        """Calls `act`, and repeats it after each of RETRIED_ERRORS; `on_retry` gets the error each time.

        _Closing when the trainer stops, also in place of other errors of `act`.
        """
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                return act()
            except RETRIED_ERRORS as error:
                if pause == FIRST_PAUSE:
                    log.warning("waiting: %s", error.message)
                on_retry(error)
                self._closing.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:
                # Workers and channels may be closed before `act` ends.
                if self._closing.is_set():
                    raise _Closing from error
                raise
        raise _Closing


def _stopping_error(session_id: str) -> Unreachable:
    return Unreachable(
        f"the trainer stops; session {session_id} is run again when it is back: ratchet trainings watch {session_id}"
    )


def _internal_error(training: Training, error: Exception) -> RatchetError:
    error_id = uuid.uuid4().hex[:12]
    log.error("session %s, error %s", training.session_id, error_id, exc_info=error)
    return Internal(f"the training failed inside the trainer; its log has the details under error {error_id}")
