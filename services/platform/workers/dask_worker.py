"""The Dask worker's side: a training process for each of its threads, and the tasks for them.

A task's thread only waits; the work is done in a process of its own, as on one machine. So it can be stopped at
once, the fit's memory and its one-threaded libraries are its own, and the Dask worker answers its scheduler
meanwhile. Work and job travel as bytes, which only that process unpickles: scheduler and Dask worker import none of
the ML libraries.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence

from distributed import Worker, WorkerPlugin, get_worker
from distributed.protocol.pickle import dumps, loads
from distributed.versions import get_package_info

from ratchet.errors import Cancelled, PreconditionFailed, Unreachable
from services.platform.workers import Report
from services.platform.workers.local import ONE_THREAD, LocalWorkers

TOPIC = "ratchet-progress"
"""The Dask topic of the tasks' progress, events [key, phase, fraction]; Dask keeps the last events of a topic only."""

PACKAGES = (
    *("ratchet-models", "ratchet-models-server", "jax", "keras", "numpy", "optuna", "pandas"),
    *("pyarrow", "scikit-learn", "skops", "ta-lib", "xgboost"),
)
"""Distributions that a model's bytes may depend on: the same versions of them compute the same model."""

Versions = Mapping[str, str | None]


class TrainingProcesses(WorkerPlugin):
    """Dask plugin with one training process for each thread of a Dask worker, on present and later workers."""

    name = "ratchet-training"
    idempotent = True

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = preload

    def setup(self, worker: Worker) -> None:
        # A worker under a nanny may start no processes: they could outlive it. Ours end with their parent.
        multiprocessing.current_process().daemon = False
        os.environ.update(ONE_THREAD)
        self.processes = LocalWorkers(worker.state.nthreads, self._preload)

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 as Dask calls it
        self.processes.close()


def installed() -> Versions:
    """The versions here of Python and of PACKAGES, None for a distribution that is not installed."""
    return {name: found for name, found in get_package_info(PACKAGES).items() if name in ("python", *PACKAGES)}


def require_same(trainer: Versions, worker: Versions, address: str) -> None:
    """PreconditionFailed for a Dask worker with other versions than the trainer's."""
    others = [name for name, version in trainer.items() if worker.get(name) != version]
    if others:
        there = ", ".join(f"{name} {worker.get(name) or 'not installed'}" for name in others)
        here = ", ".join(f"{name} {trainer[name] or 'not installed'}" for name in others)
        raise PreconditionFailed(
            f"the Dask worker at {address} has {there}, the trainer {here}: the same session would make another model"
            " there; install the same versions on both (one constraints.txt, or one image), then train again",
            metadata={"worker": address},
        )


def task(payload: bytes, trainer: Versions) -> bytes:
    """Runs the pickled `work(job, report)` of `payload` and pickles its result; runs in a thread of a Dask worker.

    Raises:
        Cancelled: the scheduler has released the task. WorkerLost: the training process died.
    """
    worker = get_worker()
    require_same(trainer, installed(), worker.address)
    plugin = worker.plugins.get(TrainingProcesses.name)
    if not isinstance(plugin, TrainingProcesses):
        raise Unreachable(f"the Dask worker at {worker.address} has no training processes yet")
    key = worker.get_current_task()
    latest: tuple[str, float] | None = None

    def report(phase: str, fraction: float) -> None:
        nonlocal latest
        known = worker.state.tasks.get(key)
        if known is None or known.state != "executing":
            raise Cancelled(f"{key} is wanted no more")
        if (phase, fraction) != latest:
            latest = phase, fraction
            worker.log_event(TOPIC, [key, phase, fraction])

    return plugin.processes.run(_opened, payload, report)


def _opened(payload: bytes, report: Report) -> bytes:
    opened: tuple[Callable[[object, Report], object], object] = loads(payload)
    work, job = opened
    packed: bytes = dumps(work(job, report))
    return packed
