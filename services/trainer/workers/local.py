"""Warm worker processes: training leaves the gRPC process, and a worker that dies takes one session with it.

Processes are spawned, never forked: a fork after OpenMP was used hangs scikit-learn and XGBoost. Each slot is a pool
of its own with one process, so that the death of one breaks no other.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as ready
from multiprocessing.queues import SimpleQueue

from ratchet.errors import WorkerLost
from services.trainer.workers import POLL_SECONDS, QUEUED, Job, Report, Result

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The environment of a process in which one session is computed: the machine is shared by processes, not by threads."""

_progress: SimpleQueue[tuple[str, float]] | None = None


class LocalWorkers:
    """N warm processes; `run` waits while all are busy. `close` ends them all, busy ones too."""

    def __init__(self, count: int) -> None:
        self.count, self.sessions = count, count + 1
        self._lock = threading.Lock()
        self._closed = False
        self._slots = {_Slot() for _ in range(count)}
        self._free: queue.Queue[_Slot] = queue.Queue()
        for slot in self._slots:
            self._free.put(slot)

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        """The result of `work`; whatever it raises is raised here. WorkerLost when its process died, or was closed."""
        with self._slot(report) as slot:
            return slot.run(work, job, report)

    @contextmanager
    def _slot(self, report: Report) -> Iterator[_Slot]:
        slot = self._next_free(report)
        try:
            slot = self._usable(slot)
            if not slot.usable:
                raise WorkerLost("the trainer stops: no session is begun any more; start the training again")
            yield slot
        finally:
            self._free.put(self._usable(slot))

    def _next_free(self, report: Report) -> _Slot:
        while True:
            try:
                return self._free.get(timeout=POLL_SECONDS)
            except queue.Empty:
                report(*QUEUED)

    def _usable(self, slot: _Slot) -> _Slot:
        """The slot, or another one in its place; after `close` there is none."""
        with self._lock:
            if slot.usable or self._closed:
                return slot
            slot.close()
            self._slots.remove(slot)
            fresh = _Slot()
            self._slots.add(fresh)
            return fresh

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for slot in self._slots:
                slot.close()


class _Slot:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._progress: SimpleQueue[tuple[str, float]] = context.SimpleQueue()
        self._pool = ProcessPoolExecutor(1, context, _warm, (self._progress, os.getpid()))
        self._pool.submit(os.getpid)
        self._process = next(iter(self._pool._processes.values()))
        self._busy = False

    @property
    def usable(self) -> bool:
        """Whether its process lives and is free: not so after it was closed, or left in the middle of a job."""
        return not self._busy and not ready([self._process.sentinel], timeout=0)

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        self._busy = True
        try:
            future: Future[Result] = self._pool.submit(_in_worker, work, job)
        except RuntimeError as error:
            raise self._lost() from error
        latest: tuple[str, float] | None = None
        while not future.done():
            latest = self._pass_on(report, latest)
            wait([future], POLL_SECONDS)
        self._pass_on(report, None)
        try:
            result = future.result()
        except (BrokenProcessPool, CancelledError) as error:
            raise self._lost() from error
        finally:
            self._busy = False
        return result

    def _lost(self) -> WorkerLost:
        return WorkerLost(
            "the process that trained this session died (killed, or out of memory); nothing was recorded:"
            " start the training again"
        )

    def _pass_on(self, report: Report, latest: tuple[str, float] | None) -> tuple[str, float] | None:
        """Report the news, or the latest again where there are none; returns the latest."""
        news = []
        while not self._progress.empty():
            news.append(self._progress.get())
        for phase, fraction in news or ([latest] if latest else []):
            report(phase, fraction)
        return news[-1] if news else latest

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._process.kill()


def _warm(progress: SimpleQueue[tuple[str, float]], parent: int) -> None:
    global _progress
    _progress = progress
    # Only the trainer ends its workers: a signal to the whole group must not look like a lost worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    import services.trainer.learning.session  # noqa: F401 the imports take seconds: paid once, before the first session


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _in_worker(work: Callable[[Job, Report], Result], job: Job) -> Result:
    def report(phase: str, fraction: float) -> None:
        if _progress is not None:
            _progress.put((phase, fraction))

    return work(job, report)
