"""Workers: processes that fit models, apart from the process that answers calls.

    workers = open_workers("local:2")
    outcome = workers.run(work, job, report)

`local` for processes on this machine, `dask` for a Dask cluster; both compute the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ratchet.errors import InvalidInput

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[str, float], None]
POLL_SECONDS = 0.1
QUEUED = ("waiting", 0.0)
"""The progress of queued work."""


class Workers(Protocol):
    """Runs `work(job, report)` in another process; `report(phase, fraction)` reaches the caller while it runs.

    The latest progress is reported again every POLL_SECONDS; an exception of the caller's `report` stops the work.
    """

    @property
    def count(self) -> int:
        """Maximum number of concurrent jobs."""

    @property
    def sessions(self) -> int:
        """Number of concurrent sessions that keeps `count` jobs busy: a session also reads and records."""

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        """The result of `work`; exceptions of `work` are raised here.

        Raises:
            WorkerLost: the process died, or these workers were closed. Unreachable: the cluster does not answer; the
                call may be repeated.
        """

    def close(self) -> None: ...


def open_workers(url: str, preload: Sequence[str] = ()) -> Workers:
    """`local:N` for N processes on this machine, `dask://host:port` for the Dask cluster of that scheduler.

    Args:
        preload: names of modules that every process imports before its first job.
    """
    if url.startswith("dask:"):
        return _on_dask(url, preload)
    kind, _, count = url.partition(":")
    if kind != "local" or not count.isdecimal() or not 1 <= int(count) <= 256:
        raise InvalidInput(
            f"RATCHET_WORKERS={url!r} is neither local:N with N from 1 to 256, such as local:2,"
            " nor dask://host:port of a Dask scheduler"
        )
    from services.platform.workers.local import LocalWorkers

    return LocalWorkers(int(count), preload)


def _on_dask(url: str, preload: Sequence[str]) -> Workers:
    try:
        from services.platform.workers.dask import DaskWorkers
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"RATCHET_WORKERS={url} needs {error.name}, which is not installed where the trainer runs;"
            " install it there with: pip install 'ratchet-models-server[dask]'"
        ) from error
    return DaskWorkers.at(url, preload)
