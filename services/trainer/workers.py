"""Warm worker processes: training leaves the gRPC process, and a worker that dies takes one session with it.

Processes are spawned, never forked: a fork after OpenMP was used hangs scikit-learn and XGBoost. Each slot is a pool
of its own with one process, so that the death of one breaks no other.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from typing import Protocol, TypeVar

from ratchet.errors import InvalidInput, NotBuilt, WorkerLost

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[str, float], None]
POLL_SECONDS = 0.1

_progress: SimpleQueue[tuple[str, float]] | None = None


class Workers(Protocol):
    """Runs `work(job, report)` somewhere else; `report(phase, fraction)` reaches the caller while it runs."""

    @property
    def count(self) -> int:
        """How many run at once."""

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result: ...

    def close(self) -> None: ...


def open_workers(url: str) -> Workers:
    """`local:N` for N processes on this machine."""
    kind, _, count = url.partition(":")
    if kind == "dask":
        raise NotBuilt(f"RATCHET_WORKERS={url}: training on a Dask cluster is not served yet; use local:N")
    if kind != "local" or not count.isdecimal() or not 1 <= int(count) <= 256:
        raise InvalidInput(f"RATCHET_WORKERS={url!r} is not local:N with N from 1 to 256, such as local:2")
    return LocalWorkers(int(count))


class LocalWorkers:
    """N warm processes; `run` blocks while all are busy."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free: queue.Queue[_Slot] = queue.Queue()
        for _ in range(count):
            self._free.put(_Slot())

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        """The result of `work`; whatever it raises is raised here. WorkerLost when its process died."""
        with self._slot() as slot:
            return slot.run(work, job, report)

    @contextmanager
    def _slot(self) -> Iterator[_Slot]:
        slot = self._free.get()
        try:
            yield slot
        finally:
            self._free.put(slot.renewed() if slot.broken else slot)

    def close(self) -> None:
        while True:
            try:
                self._free.get_nowait().close()
            except queue.Empty:
                return


class _Slot:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._progress: SimpleQueue[tuple[str, float]] = context.SimpleQueue()
        self._pool = ProcessPoolExecutor(1, context, _warm, (self._progress,))
        self._pool.submit(os.getpid)
        self.broken = False

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        try:
            future: Future[Result] = self._pool.submit(_in_worker, work, job)
            while not future.done():
                self._drain(report)
                time.sleep(POLL_SECONDS)
            self._drain(report)
            return future.result()
        except BrokenProcessPool as error:
            self.broken = True
            raise WorkerLost(
                "the process that trained this session died (killed, or out of memory); nothing was recorded:"
                " start the training again"
            ) from error

    def _drain(self, report: Report) -> None:
        while not self._progress.empty():
            report(*self._progress.get())

    def renewed(self) -> _Slot:
        self.close()
        return _Slot()

    def close(self) -> None:
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def _warm(progress: SimpleQueue[tuple[str, float]]) -> None:
    global _progress
    _progress = progress
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
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
