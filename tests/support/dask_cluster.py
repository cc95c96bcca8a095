"""A real Dask cluster for tests: a scheduler and workers as processes on loopback, without a dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from services.local.ports import HOST, choose

SOON = 60.0


class Cluster:
    """A scheduler and its workers; what died is started again by `mend`, as a cluster's supervisor does.

    `options`: of each worker, beside those that every one has. `first_on_path`: where the workers look for packages
    first.
    """

    def __init__(self, folder: Path, workers: int, options: tuple[str, ...], first_on_path: tuple[str, ...]) -> None:
        self._folder = folder
        self._options = options
        self._first_on_path = first_on_path
        self._port = choose(0)[0]
        self.place = f"{HOST}:{self._port}"
        self.url = f"dask://{self.place}"
        self.scheduler = self._scheduler()
        self.workers = [self._worker() for _ in range(workers)]

    def mend(self) -> None:
        """Start what has ended again."""
        if self.scheduler.poll() is not None:
            self.scheduler = self._scheduler()
        self.workers = [worker if worker.poll() is None else self._worker() for worker in self.workers]

    def add_worker(self) -> None:
        self.workers.append(self._worker())

    def wait(self, workers: int) -> None:
        """Until so many workers, or the scheduler alone, are there."""
        end = time.monotonic() + SOON
        while True:
            try:
                with Client(self.place, timeout=5, set_as_default=False) as client:
                    if workers:
                        client.wait_for_workers(workers, timeout=SOON)
                    return
            except OSError:
                if time.monotonic() > end:
                    raise

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
        for process in (*self.workers, self.scheduler):
            process.wait()

    def _scheduler(self) -> subprocess.Popen[bytes]:
        return self._start("scheduler", "--host", HOST, "--port", str(self._port), "--no-dashboard", "--no-show")

    def _worker(self) -> subprocess.Popen[bytes]:
        place = ("--host", HOST, "--no-dashboard", "--local-directory", str(self._folder))
        options = ("--nthreads", "1", "--memory-limit", "0", "--no-nanny", *self._options)
        return self._start("worker", self.place, *place, *options)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (*self._first_on_path, *sys.path)))}
        with (self._folder / f"{words[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@contextmanager
def cluster(
    folder: Path, workers: int = 2, options: tuple[str, ...] = (), first_on_path: tuple[str, ...] = ()
) -> Iterator[Cluster]:
    folder.mkdir(parents=True, exist_ok=True)
    made = Cluster(folder, workers, options, first_on_path)
    try:
        made.wait(workers)
        yield made
    finally:
        made.stop()
