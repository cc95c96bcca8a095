"""Worker processes: training leaves the gRPC process, and a worker that dies takes one session with it.

Workers are forked from a fork server that has imported the libraries and never used them: a fork after OpenMP was used
hangs scikit-learn and XGBoost. The server starts with the first job; a worker then starts in milliseconds. Each slot
is a pool of its own with one process, so that the death of one breaks no other.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as ready
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import SimpleQueue

import psutil

from ratchet.errors import WorkerLost
from services.platform.workers import POLL_SECONDS, QUEUED, Job, Report, Result

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""The environment of a process in which one session is computed: the machine is shared by processes, not by threads."""

_progress: SimpleQueue[tuple[str, float]] | None = None


class LocalWorkers:
    """At most `count` processes; `run` waits while all are busy. `close` ends them all, busy ones too.

    Args:
        preload: names of modules that every process has imported before its first job.
    """

    def __init__(self, count: int, preload: Sequence[str] = ()) -> None:
        self.count, self.sessions = count, count + 1
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._lock = threading.Lock()
        self._closed = False
        self._slots: set[_Slot] = set()
        self._free: queue.Queue[_Slot | None] = queue.Queue()
        for _ in range(count):
            self._free.put(None)

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        """See Workers.run."""
        with self._slot(report) as slot:
            return slot.run(work, job, report)

    @contextmanager
    def _slot(self, report: Report) -> Iterator[_Slot]:
        slot = self._next_free(report)
        try:
            slot = self._keep(slot) or self._start()
            yield slot
        finally:
            self._free.put(self._keep(slot))

    def _next_free(self, report: Report) -> _Slot | None:
        while True:
            try:
                return self._free.get(timeout=POLL_SECONDS)
            except queue.Empty:
                report(*QUEUED)

    def _start(self) -> _Slot:
        """A new slot; not under the lock, since the first one waits for the imports of the fork server."""
        if not self._closed:
            slot = _Slot(self._context)
            with self._lock:
                if not self._closed:
                    self._slots.add(slot)
                    return slot
            slot.close()
        raise WorkerLost("the service stops: no job is begun any more; ask again")

    def _keep(self, slot: _Slot | None) -> _Slot | None:
        """The slot for the next job; None, and its process ends, if the process died or its job was abandoned."""
        if slot is None or slot.usable:
            return slot
        with self._lock:
            self._slots.discard(slot)
        slot.close()
        return None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for slot in self._slots:
                slot.close()


class _Slot:
    def __init__(self, context: ForkServerContext) -> None:
        self._progress: SimpleQueue[tuple[str, float]] = context.SimpleQueue()
        self._pool = ProcessPoolExecutor(1, context, _begin, (self._progress,))
        self._pool.submit(os.getpid)
        self._process = next(iter(self._pool._processes.values()))
        self._busy = False

    @property
    def usable(self) -> bool:
        """Whether the process runs and is free: neither closed, nor left in the middle of a job."""
        return not self._busy and not ready([self._process.sentinel], timeout=0) and _runs(self._process.pid)

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
        """Reports the queued progress, or else `latest` again; returns the latest progress."""
        news = []
        while not self._progress.empty():
            news.append(self._progress.get())
        for phase, fraction in news or ([latest] if latest else []):
            report(phase, fraction)
        return news[-1] if news else latest

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._process.kill()


def _runs(pid: int | None) -> bool:
    """Whether the process is alive and no zombie: the fork server reports an exit a moment later."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _begin(progress: SimpleQueue[tuple[str, float]]) -> None:
    global _progress
    _progress = progress
    # Only the service ends its workers: a signal to the process group must not look like a lost worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(fork_server: int) -> None:
    """Exits with the service, and with the fork server, without which the service does not see this process."""
    service = multiprocessing.parent_process()
    while service is not None and service.is_alive() and os.getppid() == fork_server:
        service.join(0.5)
    os._exit(1)


def _in_worker(work: Callable[[Job, Report], Result], job: Job) -> Result:
    def report(phase: str, fraction: float) -> None:
        if _progress is not None:
            _progress.put((phase, fraction))

    return work(job, report)
