"""A worker that dies in the middle of a fit takes its session with it and no other."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from ratchet.registry.v1 import registry_pb2
from tests.support.deployments import Place
from tests.support.running import Running

FITTING = "training"


def in_the_middle_of_a_fit(services: Running, session_id: str) -> None:
    for progress in services.client.watch_training(session_id):
        if progress.phase == FITTING:
            return
    raise AssertionError(f"session {session_id} ended before anybody saw it fit")


def busy_workers(services: Running, seconds: float = 0.15) -> list[psutil.Process]:
    """The worker processes of the trainer, the one that used the most CPU in these seconds first."""
    children = psutil.Process(services.supervisor.pids()["trainer"]).children(recursive=True)
    before = {child.pid: sum(child.cpu_times()[:2]) for child in children}
    time.sleep(seconds)
    alive = [child for child in children if child.is_running()]
    return sorted(alive, key=lambda child: before[child.pid] - sum(child.cpu_times()[:2]))


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_fit_fails_that_session_and_no_other(place: Place, tmp_path: Path) -> None:
    with place.running(tmp_path) as services:
        services.import_bars("AAPL")
        services.train()
        start = services.client.start_training
        sessions = [start("AAPL", "random-forest", target).session_id for target in ("range", "direction", "volume")]
        in_the_middle_of_a_fit(services, sessions[0])
        os.kill(busy_workers(services)[0].pid, signal.SIGKILL)
        ended = [services.ended(session_id) for session_id in sessions]
        failed = [training for training in ended if training.state == registry_pb2.TRAINING_STATE_FAILED]
        completed = [training for training in ended if training.state == registry_pb2.TRAINING_STATE_COMPLETED]
        assert (len(failed), len(completed)) == (1, 2)
        assert failed[0].reason == "WORKER_LOST"
        assert "the process that trained this session died" in failed[0].message
        assert "start the training again" in failed[0].message
        again = services.train("AAPL", "random-forest", failed[0].lineage.split("/")[1])
        assert again.state == registry_pb2.TRAINING_STATE_COMPLETED
        assert again.model == f"{failed[0].lineage}/v1"
