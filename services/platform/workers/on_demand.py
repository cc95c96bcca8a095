"""Work for a waiting caller: limited concurrency in the workers, cancelled with the call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ratchet.errors import Cancelled, LimitReached, WorkerLost
from services.platform.workers import Report, Workers

Job = TypeVar("Job")
Result = TypeVar("Result")


class OnDemand:
    """At most `at_once` jobs run or wait for a worker: each occupies a thread of the server.

    Args:
        kind: the kind of job in error messages, such as evaluation.
    """

    def __init__(self, workers: Workers, at_once: int, kind: str) -> None:
        self._workers = workers
        self._at_once = at_once
        self._kind = kind
        self._places = threading.BoundedSemaphore(at_once)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Reserves one of the places; LimitReached if all are taken."""
        if not self._places.acquire(blocking=False):
            raise LimitReached(
                f"{self._at_once} {self._kind}s run or wait already; ask again when one of them has ended"
            )
        try:
            yield
        finally:
            self._places.release()

    def run(self, work: Callable[[Job, Report], Result], job: Job, active: Callable[[], bool]) -> Result:
        """The result of `work` in a worker; Cancelled if `active` returns False, WorkerLost if the process died."""

        def go_on(phase: str, fraction: float) -> None:  # noqa: ARG001
            if not active():
                raise Cancelled(f"nobody waits for this {self._kind} any more")

        try:
            return self._workers.run(work, job, go_on)
        except WorkerLost as error:
            raise WorkerLost(
                f"the process that computed this {self._kind} died (killed, or out of memory), or the service stops;"
                " ask again"
            ) from error
