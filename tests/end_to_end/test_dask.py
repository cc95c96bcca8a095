"""Training on a Dask cluster: workers and schedulers die, every session ends once, and the log verifies."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import Client

from ratchet.registry.v1 import registry_pb2
from tests.support.dask_cluster import Cluster, cluster
from tests.support.running import DATA, Running, running

TARGETS = ("direction", "range", "volatility", "volume")
ENDS = ("TrainingCompleted", "TrainingFailed", "TrainingCancelled")


@contextmanager
def mended(made: Cluster) -> Iterator[None]:
    """What dies of the cluster meanwhile is started again."""
    stopping = threading.Event()

    def mend() -> None:
        while not stopping.wait(0.5):
            made.mend()

    mending = threading.Thread(target=mend)
    mending.start()
    try:
        yield
    finally:
        stopping.set()
        mending.join()


def import_five(services: Running, folder: Path) -> list[str]:
    """Four whole series, and the older half of one under a name of its own."""
    whole = ["AAPL", "GOOG", "IBM", "MSFT"]
    for series in whole:
        services.import_bars(series)
    lines = (DATA / "IBM.csv").read_text().splitlines(keepends=True)
    old = folder / "IBM-OLD.csv"
    old.write_text("".join(lines[: len(lines) // 2]))
    services.client.import_bars(old, "IBM-OLD")
    return [*whole, "IBM-OLD"]


def kill_a_busy_worker(made: Cluster) -> None:
    """SIGKILL for the Dask worker that has tasks: they are lost in the middle."""
    with Client(made.place, set_as_default=False) as client:
        pids = client.run(os.getpid)
        busy = next(address for address, tasks in client.processing().items() if tasks)
    next(worker for worker in made.workers if worker.pid == pids[busy]).kill()


def ends_in_the_log(services: Running) -> dict[str, list[str]]:
    """The kinds of end that the log has of each session."""
    ends: dict[str, list[str]] = {}
    for event in services.client.read_log():
        kind = event.topic.rpartition(".")[2]
        if event.stream.startswith("session/"):
            ends.setdefault(event.stream, []).extend([kind] if kind in ENDS else [])
    return ends


def wait_for(services: Running, session_id: str, holds: Callable[[str, str], bool]) -> None:
    """Until the session's progress, a phase and a text, is such."""
    for progress in services.client.watch_training(session_id):
        if holds(progress.phase, progress.text):
            return
    raise AssertionError(f"session {session_id} ended before that")


@pytest.mark.slow
def test_twenty_sessions_of_five_symbols_end_once_though_a_worker_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(tmp_path / "cluster") as made, mended(made):
        monkeypatch.setenv("RATCHET_WORKERS", made.url)
        with running(tmp_path / "home") as services:
            start = services.client.start_training
            symbols = import_five(services, tmp_path)
            sessions = [start(series, "logistic", target).session_id for target in TARGETS for series in symbols]
            services.ended(sessions[0])
            kill_a_busy_worker(made)
            ended = [services.ended(session_id) for session_id in sessions]
            assert {training.state for training in ended} == {registry_pb2.TRAINING_STATE_COMPLETED}
            assert len({training.model for training in ended}) == 20
            assert ends_in_the_log(services) == {f"session/{each}": ["TrainingCompleted"] for each in sessions}
            assert services.cli("log", "verify").returncode == 0


@pytest.mark.slow
def test_a_scheduler_that_dies_in_the_middle_is_waited_for_and_fails_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(tmp_path / "cluster") as made:
        monkeypatch.setenv("RATCHET_WORKERS", made.url)
        with running(tmp_path / "home") as services:
            services.import_bars("AAPL")
            start = services.client.start_training
            sessions = [start("AAPL", "logistic", target).session_id for target in TARGETS]
            wait_for(services, sessions[0], lambda phase, _: phase in ("features", "mining", "training"))
            made.scheduler.kill()
            wait_for(services, sessions[-1], lambda _, text: f"Dask scheduler at {made.place} went away" in text)
            with mended(made):
                ended = [services.ended(session_id) for session_id in sessions]
            assert {training.state for training in ended} == {registry_pb2.TRAINING_STATE_COMPLETED}
            assert ends_in_the_log(services) == {f"session/{each}": ["TrainingCompleted"] for each in sessions}
            assert services.cli("log", "verify").returncode == 0
