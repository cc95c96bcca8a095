"""Runs training sessions: one more at once than there are workers, so that none rests; one per lineage at a time.

Nothing is kept here that the log does not hold. A session is a request in the log until it has an end there, so a
trainer that was killed takes the open ones up again; every write carries a request id made from the session's id,
so a session that is run twice still ends once.
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
Waiting = Callable[[RatchetError], None]
Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
KEPT_TRACKS = 1000

WAITED_FOR = (Unreachable, Busy, LogFull)
"""What a session waits for: silence, an answer that came too late to be heard (its write is repeated with the same
request id), a service that takes no further call now, and a log without room, in which not even a failure could be
recorded. Every other error is an answer."""


@dataclass(frozen=True)
class Progress:
    """Where a session is: `fraction` runs from 0 to 1; `ended` is set once, at the end."""

    phase: str
    fraction: float
    text: str = ""
    ended: Training | None = None


@dataclass
class _Track:
    training: Training
    progress: Progress = field(default_factory=lambda: Progress("waiting", 0.0))
    lost: RatchetError | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def move(self, progress: Progress) -> None:
        with self.changed:
            if self.progress.ended is None and progress != self.progress:
                self.progress = progress
                self.changed.notify_all()

    def waits(self, error: RatchetError) -> None:
        self.move(replace(self.progress, text=f"waiting: {error.message}"))

    def lose(self, error: RatchetError) -> None:
        """Its end could not be recorded: those who watch are told why."""
        with self.changed:
            self.lost = error
            self.changed.notify_all()


class Conductor(Protocol[Job, Outcome]):
    """The three steps of one session. Each may be repeated when a service does not answer."""

    def gather(self, training: Training) -> Job:
        """What the session may know."""

    def work(self, job: Job, report: Report) -> Outcome:
        """The computation, in a worker."""

    def record(self, training: Training, job: Job, outcome: Outcome) -> Training:
        """The session's end, in the log."""


class _Closing(Exception):
    """The trainer stops: the session stays open in the log and is run again at the next start."""


class _Ended(Exception):
    """The session was ended from outside: what is done for it is of no use any more."""


class Sessions:
    """The queue of sessions, and what those who watch see of them."""

    def __init__(self, client: Client, conductor: Conductor[Any, Any], at_once: int) -> None:
        self._client = client
        self._conductor = conductor
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="session")
        self._lock = threading.Lock()
        self._tracks: dict[str, _Track] = {}
        self._queues: dict[str, list[_Track]] = {}
        self._given_up: set[str] = set()
        self._looking = False
        self._closing = threading.Event()

    def resume(self) -> None:
        """Take up every session of the log that has no end, oldest first; waits for the registry."""
        try:
            opened = self._open()
        except _Closing:
            return
        for training in sorted(opened, key=lambda found: found.requested_position):
            log.info("session %s of %s was open: running it", training.session_id, training.lineage)
            self.start(training)

    def look_again(self) -> None:
        """Resume once more, in the background: a request whose answer was lost may have left a session in the log."""
        with self._lock:
            if not (self._closing.is_set() or self._looking):
                self._looking = True
                self._threads.submit(self._look)

    def _look(self) -> None:
        self._looking = False
        self.resume()

    def start(self, training: Training) -> None:
        """Queue an open session; one that is queued or runs already is left alone."""
        with self._lock:
            if self._closing.is_set() or training.session_id in self._tracks:
                return
            self._given_up.discard(training.session_id)
            waits = training.lineage in self._queues
            self._enqueue(training)
            if not waits:
                self._threads.submit(self._run_lineage, training.lineage)

    def _enqueue(self, training: Training) -> None:
        if training.session_id not in self._tracks:
            self._forget_ended()
            track = self._tracks[training.session_id] = _Track(training)
            self._queues.setdefault(training.lineage, []).append(track)

    def get(self, session_id: str) -> Training:
        """The session as the log has it; NotFound for an id that was never given."""
        for training in self._client.list_trainings(session_id=session_id):
            return training
        raise NotFound(
            f"no training session {session_id}; see ratchet trainings list", fields={"session_id": "unknown"}
        )

    def watch(self, session_id: str, active: Callable[[], bool]) -> Iterator[Progress]:
        """Progress until the session's end, the newest first seen first; stops when `active` says no.

        Unreachable when the trainer stops meanwhile; what kept the session's end from being recorded is raised.
        """
        track = self._tracks.get(session_id)
        if track is None:
            training = self.get(session_id)
            if training.state != registry_pb2.TRAINING_STATE_OPEN:
                yield Progress("ended", 1.0, ended=training)
                return
            self.start(training)
            track = self._tracks.get(session_id)
        if track is None:
            raise _stopping(session_id)
        seen: Progress | None = None
        while active():
            with track.changed:
                if track.progress is seen and track.lost is None:
                    track.changed.wait(0.5)
                now = track.progress
            if now is not seen:
                yield now
            if now.ended is not None:
                return
            if track.lost is not None:
                raise track.lost
            if self._closing.is_set():
                raise _stopping(session_id)
            seen = now

    def ended(self, training: Training) -> None:
        """A session was ended from outside (cancelled): tell those who watch, and stop its work."""
        track = self._tracks.get(training.session_id)
        if track is not None:
            track.move(Progress("ended", 1.0, ended=training))

    def close(self) -> None:
        with self._lock:
            self._closing.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget_ended(self) -> None:
        surplus = len(self._tracks) - KEPT_TRACKS
        for session_id in [key for key, track in self._tracks.items() if track.progress.ended][: max(0, surplus)]:
            del self._tracks[session_id]

    def _run_lineage(self, lineage: str) -> None:
        """Run what is queued for the lineage; other lineages get their turn after each session."""
        queue = self._queues[lineage]
        track = queue[0]
        try:
            track = self._oldest(lineage)
            self._run(track)
        except _Closing:
            return
        except Exception as error:  # noqa: BLE001 whatever it is, the sessions behind it must get their turn
            self._give_up(track, error)
        with self._lock:
            queue.remove(track)
            if queue and not self._closing.is_set():
                self._threads.submit(self._run_lineage, lineage)
            elif not queue:
                del self._queues[lineage]

    def _oldest(self, lineage: str) -> _Track:
        """The next one of the lineage: what the log has open and was requested first, whoever asked for it here."""

        def waiting(error: RatchetError) -> None:
            for track in tuple(self._queues[lineage]):
                track.waits(error)

        opened = self._open(lineage, waiting)
        with self._lock:
            for training in opened:
                if training.session_id not in self._given_up:
                    self._enqueue(training)
            return min(self._queues[lineage], key=lambda track: track.training.requested_position)

    def _open(self, lineage: str = "", waiting: Waiting = lambda _: None) -> list[Training]:
        state = registry_pb2.TRAINING_STATE_OPEN
        return self._patiently(lambda: list(self._client.list_trainings(lineage=lineage, state=state)), waiting)

    def _give_up(self, track: _Track, error: Exception) -> None:
        """The session stays open in the log: whoever watches it again, or a restart, has it run again."""
        training = track.training
        failure = error if isinstance(error, RatchetError) else _unexpected(training, error)
        log.error("the end of session %s could not be recorded: %s", training.session_id, failure.message)
        with self._lock:
            del self._tracks[training.session_id]
            self._given_up.add(training.session_id)
        track.lose(failure)

    def _run(self, track: _Track) -> None:
        training = track.training

        def go_on() -> None:
            if self._closing.is_set():
                raise _Closing
            if track.progress.ended is not None:
                raise _Ended

        def report(phase: str, fraction: float) -> None:
            go_on()
            track.move(Progress(phase, fraction))

        def waiting(error: RatchetError) -> None:
            go_on()
            track.waits(error)

        try:
            go_on()
            known = self._patiently(lambda: self.get(training.session_id), waiting)
            if known.state != registry_pb2.TRAINING_STATE_OPEN:
                track.move(Progress("ended", 1.0, ended=known))
                return
            job = self._patiently(lambda: self._conductor.gather(training), waiting)
            go_on()
            outcome = self._patiently(lambda: self._conductor.work(job, report), waiting)
            report("recording", 0.98)
            ended = self._patiently(lambda: self._conductor.record(training, job, outcome), waiting)
        except _Closing:
            raise
        except _Ended:
            return
        except Exception as error:  # noqa: BLE001 whatever it is, it ends the session
            if track.progress.ended is not None:
                return
            failure = error if isinstance(error, RatchetError) else _unexpected(training, error)
            log.warning("session %s failed: %s", training.session_id, failure.message)
            ended = self._patiently(lambda: self._fail(training, failure), waiting)
        track.move(Progress("ended", 1.0, ended=ended))

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

    def _patiently(self, act: Callable[[], Value], waiting: Waiting) -> Value:
        """`act()`, again and again while what it needs does not answer; `waiting` is told each time.

        _Closing where the trainer stops, whatever `act` ran into because of that.
        """
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                return act()
            except WAITED_FOR as error:
                if pause == FIRST_PAUSE:
                    log.warning("waiting: %s", error.message)
                waiting(error)
                self._closing.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:
                # What it stands on is closed under it: workers, channels.
                if self._closing.is_set():
                    raise _Closing from error
                raise
        raise _Closing


def _stopping(session_id: str) -> Unreachable:
    return Unreachable(
        f"the trainer stops; session {session_id} is run again when it is back: ratchet trainings watch {session_id}"
    )


def _unexpected(training: Training, error: Exception) -> RatchetError:
    error_id = uuid.uuid4().hex[:12]
    log.error("session %s, error %s", training.session_id, error_id, exc_info=error)
    return Internal(f"the training failed inside the trainer; its log has the details under error {error_id}")
