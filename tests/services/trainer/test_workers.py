"""Training happens in other processes: what they say and raise arrives, and the death of one harms one session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from ratchet.errors import DataRefused, InvalidInput, RatchetError, WorkerLost
from services.platform.workers import Report, Workers, open_workers
from services.platform.workers.local import LocalWorkers
from tests.support.dask_cluster import cluster
from tests.support.waiting import until

SOON = 60.0
WAITING = ("waiting", 0.0)
"""What is said of work that has not begun."""


def steps(job: int, report: Report) -> int:
    for step in range(job):
        report(f"step {step}", step / job)
    return os.getpid()


def refuse(job: str, report: Report) -> int:
    raise DataRefused(job, fields={"series": "too short"})


def stumble(job: str, report: Report) -> int:
    return len(job) // 0


def linger(job: float, report: Report) -> int:
    report("lingering", 0.5)
    time.sleep(job)
    return os.getpid()


def quiet(phase: str, fraction: float) -> None:
    pass


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module", params=["local", "dask"])
def workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """One process on this machine, and one on a cluster: both keep the same promises."""
    with ExitStack() as stack:
        url = "local:1"
        if request.param == "dask":
            url = stack.enter_context(cluster(tmp_path_factory.mktemp("dask"), workers=1)).url
        made = open_workers(url)
        stack.callback(made.close)
        yield made


class InTheBackground(threading.Thread):
    """One job; `pid` or `error` says how it went, `said` is set once it reported."""

    def __init__(self, workers: Workers, seconds: float) -> None:
        super().__init__()
        self._workers, self._seconds = workers, seconds
        self.said = threading.Event()
        self.pid: int | None = None
        self.error: RatchetError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.pid = self._workers.run(linger, self._seconds, self._hear)
        except RatchetError as error:
            self.error = error

    def _hear(self, phase: str, fraction: float) -> None:
        if phase == "lingering":
            self.said.set()


def test_progress_arrives_in_order_and_the_work_is_done_elsewhere(workers: Workers) -> None:
    seen: list[tuple[str, float]] = []
    pid = workers.run(steps, 4, lambda phase, fraction: seen.append((phase, fraction)))
    assert pid != os.getpid()
    said = [each for each in dict.fromkeys(seen) if each != WAITING]
    assert said == [("step 0", 0.0), ("step 1", 0.25), ("step 2", 0.5), ("step 3", 0.75)]


def test_a_process_is_warm_it_does_one_job_after_the_other(workers: Workers) -> None:
    assert workers.run(steps, 1, quiet) == workers.run(steps, 1, quiet)


def test_what_the_work_raises_is_raised_in_the_caller_whole(workers: Workers) -> None:
    pid = workers.run(steps, 1, quiet)
    with pytest.raises(DataRefused, match=r"^FB is too short$") as refused:
        workers.run(refuse, "FB is too short", quiet)
    assert refused.value.fields == {"series": "too short"}
    with pytest.raises(ZeroDivisionError):
        workers.run(stumble, "FB", quiet)
    assert workers.run(steps, 1, quiet) == pid


def test_a_killed_process_loses_its_job_and_no_other(workers: Workers) -> None:
    victim = workers.run(steps, 1, quiet)
    job = InTheBackground(workers, SOON)
    assert job.said.wait(SOON)
    os.kill(victim, signal.SIGKILL)
    job.join(SOON)
    assert isinstance(job.error, WorkerLost)
    assert workers.run(steps, 1, quiet) != victim


def test_a_process_that_died_between_two_jobs_costs_none(workers: Workers) -> None:
    victim = workers.run(steps, 1, quiet)
    os.kill(victim, signal.SIGKILL)
    assert until(lambda: not psutil.pid_exists(victim), SOON)
    assert workers.run(steps, 1, quiet) != victim


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_leaves_the_workers_to_the_trainer(
    workers: Workers, number: signal.Signals
) -> None:
    pid = workers.run(steps, 1, quiet)
    os.kill(pid, number)
    assert workers.run(steps, 1, quiet) == pid


def test_what_the_callers_report_raises_stops_the_work_at_once(workers: Workers) -> None:
    pid = workers.run(steps, 1, quiet)
    calls: list[str] = []

    def stop(phase: str, fraction: float) -> None:
        calls.extend([phase] if (phase, fraction) != WAITING else [])
        if len(calls) == 3:
            raise InvalidInput("cancelled")

    began = time.monotonic()
    with pytest.raises(InvalidInput, match="cancelled"):
        workers.run(linger, 10 * SOON, stop)
    seen: list[str] = []
    assert workers.run(steps, 1, lambda phase, fraction: seen.append(phase)) != pid
    assert time.monotonic() - began < SOON
    assert (calls, set(seen) - {"waiting"}) == (["lingering"] * 3, {"step 0"})
    assert until(lambda: ended(pid), SOON)


def test_who_waits_for_a_process_is_told_so_and_may_give_up(workers: Workers) -> None:
    job = InTheBackground(workers, 2.0)
    assert job.said.wait(SOON)

    def give_up(phase: str, fraction: float) -> None:
        assert (phase, fraction) == WAITING
        raise InvalidInput("nobody waits any more")

    with pytest.raises(InvalidInput, match="nobody waits"):
        workers.run(steps, 1, give_up)
    assert job.is_alive()
    job.join(SOON)
    assert workers.run(steps, 1, quiet) == job.pid


def test_closing_ends_busy_processes_and_lets_nobody_wait() -> None:
    workers = LocalWorkers(1)
    pid = workers.run(steps, 1, quiet)
    jobs = [InTheBackground(workers, 10 * SOON), InTheBackground(workers, 10 * SOON)]
    assert until(lambda: any(job.said.is_set() for job in jobs), SOON)
    workers.close()
    for job in jobs:
        job.join(SOON)
        assert isinstance(job.error, WorkerLost)
    assert until(lambda: ended(pid), SOON)
    with pytest.raises(WorkerLost):
        workers.run(steps, 1, quiet)


def test_a_fork_server_that_was_killed_takes_its_workers_with_it_and_another_one_begins() -> None:
    workers = LocalWorkers(1)
    pid = workers.run(steps, 1, quiet)
    job = InTheBackground(workers, 10 * SOON)
    assert job.said.wait(SOON)
    fork_server = psutil.Process(pid).ppid()
    os.kill(fork_server, signal.SIGKILL)
    job.join(SOON)
    assert isinstance(job.error, WorkerLost)
    assert until(lambda: ended(pid), SOON)
    assert psutil.Process(workers.run(steps, 1, quiet)).ppid() != fork_server
    workers.close()


PARENT = """
import threading, time
from services.platform.workers.local import LocalWorkers

def busy(seconds, report):
    time.sleep(seconds)

def quiet(phase, fraction):
    pass

if __name__ == "__main__":
    workers = LocalWorkers(2)
    for _ in range(2):
        threading.Thread(target=workers.run, args=(busy, 600, quiet), daemon=True).start()
    print("open", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("pause", [0.1, 0.5, pytest.param(4.0, marks=pytest.mark.slow)])
def test_the_processes_end_when_their_parent_is_gone_even_while_they_start(tmp_path: Path, pause: float) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"open\n"
        time.sleep(pause)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children or pause < 4.0
        parent.kill()
    _, alive = psutil.wait_procs(children, SOON)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


def test_workers_are_opened_by_their_url() -> None:
    for wrong in ("local", "local:0", "local:257", "local:x", "threads:2"):
        with pytest.raises(InvalidInput, match=r"such as local:2, nor dask://host:port"):
            open_workers(wrong)
