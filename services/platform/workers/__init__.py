"""Where models are fitted: never in the process that answers calls.

    workers = open_workers("local:2")
    outcome = workers.run(work, job, report)

`local` for processes on this machine, `dask` for a Dask cluster. Both compute the same: only the place differs.
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
"""What is reported of work that waits for its turn."""


class Workers(Protocol):
    """Runs `work(job, report)` somewhere else; `report(phase, fraction)` reaches the caller while it runs.

    What was reported last is reported again and again, and what the caller's `report` raises stops the work.
    """

    @property
    def count(self) -> int:
        """How many may run at once."""

    @property
    def sessions(self) -> int:
        """How many sessions should be under way for that: while one gathers or records, another is computed."""

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        """The result of `work`; whatever it raises is raised here.

        WorkerLost when its process died or these workers were closed; Unreachable when nobody answers where it is to
        be computed: `work` may be run again.
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
