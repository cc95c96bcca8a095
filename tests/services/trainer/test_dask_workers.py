"""On a Dask cluster: workers and schedulers come and go, what is computed stays the same."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client
from test_workers import SOON, ended, quiet, steps

from ratchet import __version__
from ratchet.cli.certs import write_certificates
from ratchet.client.channel import open_channel
from ratchet.client.credentials import Credentials
from ratchet.client.health import check_health
from ratchet.errors import InvalidInput, PreconditionFailed, RatchetError, Unreachable, WorkerLost
from ratchet.scoring.data import csv_file
from services.platform.settings import Settings
from services.platform.workers import Report, Workers, open_workers
from services.platform.workers.dask import DaskWorkers
from services.platform.workers.dask_worker import PACKAGES, installed, require_same
from services.platform.workers.local import ONE_THREAD
from services.trainer.bootstrap import build
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.session import LIBRARIES, OWN_LIBRARIES, run
from tests.support.dask_cluster import Cluster, cluster
from tests.support.waiting import until

DATA = Path(__file__).parents[3] / "ratchet" / "data"
LATE = 90.0


def hold(job: str, report: Report) -> tuple[int, str]:
    """Says its process, and works until the file `job` is there; answers its process and how many threads fit."""
    report(str(os.getpid()), 0.5)
    while not Path(job).exists():
        time.sleep(0.02)
    return os.getpid(), os.environ["OMP_NUM_THREADS"]


def measure(job: bytes, report: Report) -> int:
    return len(job)


class Held(threading.Thread):
    """A `hold` in the background: `pids` that worked on it, the last one last."""

    def __init__(self, workers: Workers, file: Path) -> None:
        super().__init__()
        self._workers, self._file = workers, file
        self.pids: list[int] = []
        self.result: tuple[int, str] | None = None
        self.error: RatchetError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._workers.run(hold, str(self._file), self._hear)
        except RatchetError as error:
            self.error = error

    def _hear(self, phase: str, fraction: float) -> None:
        if phase != "waiting" and int(phase) not in self.pids:
            self.pids.append(int(phase))

    def working(self, processes: int = 1) -> bool:
        return until(lambda: len(self.pids) == processes, SOON)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that no test harms; its workers were told to use seven threads."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "7")
            made = stack.enter_context(cluster(tmp_path_factory.mktemp("two")))
        yield made


@pytest.fixture(scope="module")
def workers(two: Cluster) -> Iterator[Workers]:
    made = open_workers(two.url)
    yield made
    made.close()


def hears_of_steps(workers: Workers) -> bool:
    """Whether work is done and its progress arrives; False where no scheduler answers."""
    seen: list[str] = []
    try:
        workers.run(steps, 1, lambda phase, fraction: seen.append(phase))
    except Unreachable:
        return False
    assert "step 0" in seen
    return True


def dask_worker_of(pid: int) -> int:
    """The Dask worker, parent of the fork server of the process."""
    _, dask_worker, *_ = psutil.Process(pid).parents()
    return dask_worker.pid


@pytest.mark.slow
def test_the_same_session_makes_the_same_artifact_here_and_there(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    bars = csv_file.read((DATA / "AAPL.csv").read_bytes(), "AAPL", "AAPL.csv").bars
    job = SessionInputs("AAPL", "range", 1, "logistic", bars, seed=7)
    here = open_workers("local:1")
    try:
        outcomes = [place.run(run, job, quiet) for place in (here, workers, workers)]
    finally:
        here.close()
    assert len({hashlib.sha256(outcome.artifact).hexdigest() for outcome in outcomes}) == 1
    assert outcomes[0].library_versions == outcomes[1].library_versions


def test_inputs_of_any_size_are_sent_and_nothing_is_kept_here_and_there(two: Cluster, workers: Workers) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert workers.run(measure, os.urandom(12_000_000), quiet) == 12_000_000
    with Client(two.place, set_as_default=False) as client:
        assert until(lambda: not any(client.has_what().values()), SOON)
    assert isinstance(workers, DaskWorkers)
    assert workers._connected()._listeners == {}


def test_each_worker_trains_one_at_once_in_one_thread_and_those_beyond_wait(workers: Workers, tmp_path: Path) -> None:
    held = [Held(workers, tmp_path / "go on") for _ in range(3)]
    assert until(lambda: sum(len(each.pids) for each in held) == 2, SOON)
    assert not all(each.pids for each in held)
    (tmp_path / "go on").touch()
    for each in held:
        each.join(LATE)
        assert each.result is not None
        assert each.result[1] == "1"
    assert len({each.pids[0] for each in held}) == 2


def test_a_second_trainer_on_the_cluster_disturbs_nobody(two: Cluster, workers: Workers, tmp_path: Path) -> None:
    held = Held(workers, tmp_path / "go on")
    assert held.working()
    open_workers(two.url).close()
    (tmp_path / "go on").touch()
    held.join(LATE)
    assert held.result is not None
    assert [held.result[0]] == held.pids


def test_closing_stops_what_runs_on_the_cluster(two: Cluster, tmp_path: Path) -> None:
    made = open_workers(two.url)
    held = Held(made, tmp_path / "never")
    assert held.working()
    made.close()
    held.join(LATE)
    assert isinstance(held.error, WorkerLost)
    assert until(lambda: ended(held.pids[0]), SOON)
    with pytest.raises(WorkerLost, match="the service stops"):
        made.run(steps, 1, quiet)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_a_worker_goes_its_work_is_done_again_by_another(tmp_path: Path, number: signal.Signals) -> None:
    with cluster(tmp_path / "cluster") as made:
        workers = open_workers(made.url)
        held = Held(workers, tmp_path / "go on")
        assert held.working()
        first = held.pids[0]
        os.kill(dask_worker_of(first), number)
        assert held.working(2)
        (tmp_path / "go on").touch()
        held.join(LATE)
        assert held.result is not None
        assert held.result[0] == held.pids[1] != first
        assert until(lambda: ended(first), SOON)
        workers.close()


@pytest.mark.slow
def test_work_that_kills_its_workers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    with cluster(tmp_path / "cluster") as made:
        workers = open_workers(made.url)
        held = Held(workers, tmp_path / "never")
        for deaths in (1, 2):
            assert held.working(deaths)
            os.kill(dask_worker_of(held.pids[-1]), signal.SIGKILL)
        held.join(LATE)
        assert isinstance(held.error, WorkerLost)
        assert "2 Dask workers died one after the other while they trained this session" in held.error.message
        workers.close()


@pytest.mark.slow
def test_a_scheduler_that_went_away_is_waited_for_and_met_again(tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster") as made:
        workers = open_workers(made.url)
        held = Held(workers, tmp_path / "never")
        assert held.working()
        made.scheduler.kill()
        held.join(LATE)
        assert isinstance(held.error, Unreachable)
        assert until(lambda: ended(held.pids[0]), SOON)
        with pytest.raises(Unreachable, match=made.place):
            workers.run(steps, 1, quiet)
        early = open_workers(made.url)
        for worker in made.workers:
            worker.wait(LATE)
        made.mend()
        made.wait(2)
        for each in (workers, early):
            assert until(partial(hears_of_steps, each), SOON)
            each.close()


@pytest.mark.slow
def test_a_scheduler_that_was_replaced_before_anybody_missed_it_is_met_anew(tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster") as made:
        workers = open_workers(made.url)
        assert hears_of_steps(workers)
        made.scheduler.kill()
        made.scheduler.wait(LATE)

        def mended() -> bool:
            made.mend()
            return hears_of_steps(workers)

        assert until(mended, SOON)
        workers.close()


def test_a_trainer_without_its_scheduler_starts_and_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.platform.workers.dask.CONNECT_SECONDS", 0.3)
    monkeypatch.setenv("RATCHET_WORKERS", "dask://127.0.0.1:1")
    server, closers = build(Settings.load("trainer", tmp_path, "127.0.0.1", 0))
    server.start()
    with open_channel(f"127.0.0.1:{server.port}", Credentials()) as channel:
        answer = check_health(channel, "workers")
    server.stop(0)
    for close in closers:
        close()
    assert not answer.serving
    assert "no Dask scheduler answers at 127.0.0.1:1" in answer.wrong


@pytest.mark.slow
def test_work_waits_for_the_first_worker_and_a_cluster_that_grows_is_used_at_once(tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", workers=0) as made:
        workers = open_workers(made.url)
        held = [Held(workers, tmp_path / "go on") for _ in range(2)]
        for count in (1, 2):
            made.add_worker()
            assert until(lambda count=count: sum(len(each.pids) for each in held) == count, SOON)
        (tmp_path / "go on").touch()
        for each in held:
            each.join(LATE)
            assert each.result is not None
        workers.close()


@pytest.mark.slow
def test_each_thread_of_a_worker_is_a_process_of_its_own_also_under_a_nanny(tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", workers=1, options=("--nanny", "--nthreads", "2")) as made:
        workers = open_workers(made.url)
        held = [Held(workers, tmp_path / "go on") for _ in range(2)]
        assert all(each.working() for each in held)
        assert held[0].pids != held[1].pids
        assert dask_worker_of(held[0].pids[0]) == dask_worker_of(held[1].pids[0])
        os.kill(dask_worker_of(held[0].pids[0]), signal.SIGKILL)
        assert all(each.working(2) for each in held)
        (tmp_path / "go on").touch()
        for each in held:
            each.join(LATE)
            assert each.result is not None
            assert each.result[0] == each.pids[1]
        workers.close()


def test_the_versions_of_ratchet_itself_are_among_those_compared() -> None:
    here = installed()
    assert here["ratchet-models"] == here["ratchet-models-server"] == __version__
    other = {**here, "ratchet-models-server": "9.9.9"}
    with pytest.raises(PreconditionFailed, match=f"has ratchet-models-server 9.9.9, the trainer .* {__version__}"):
        require_same(here, other, "tcp://there")


def test_workers_with_other_versions_are_refused_when_met_and_when_they_come_later(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "numpy-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    refusal = r"^the Dask worker at tcp://\S+ has numpy 0\.0\.1, the trainer numpy \d.*; install the same versions"
    with cluster(tmp_path / "cluster", workers=0, first_on_path=(str(other.parent),)) as made:
        workers = open_workers(made.url)
        made.add_worker()
        with pytest.raises(PreconditionFailed, match=refusal):
            workers.run(steps, 1, quiet)
        workers.close()
        with pytest.raises(PreconditionFailed, match=refusal):
            open_workers(made.url)


@pytest.mark.slow
def test_mutual_tls_is_dasks_own_and_who_does_not_speak_it_is_not_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = tmp_path / "certificates"
    write_certificates(certificates, [], datetime.now(UTC))
    comm = {"default-scheme": "tls", "require-encryption": "True", "tls.ca-file": str(certificates / "ca.pem")}
    for role, name in (("scheduler", "server"), ("worker", "server"), ("client", "client")):
        comm[f"tls.{role}.cert"] = str(certificates / f"{name}.pem")
        comm[f"tls.{role}.key"] = str(certificates / f"{name}.key")
    for key, value in comm.items():
        monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__{key.upper().replace('.', '__').replace('-', '_')}", value)
    here = {f"distributed.comm.{key}": value for key, value in comm.items()}
    with dask.config.set(here), cluster(tmp_path / "cluster", workers=1) as made:
        workers = open_workers(made.url)
        assert hears_of_steps(workers)
        workers.close()
        with dask.config.set({"distributed.comm.default-scheme": "tcp", "distributed.comm.require-encryption": False}):
            workers = open_workers(made.url)
            with pytest.raises(Unreachable, match="no Dask scheduler answers"):
                workers.run(steps, 1, quiet)
            workers.close()


def test_every_library_that_a_record_names_must_be_the_same() -> None:
    recorded = {*LIBRARIES, *(name for names in OWN_LIBRARIES.values() for name in names)}
    assert recorded <= set(PACKAGES)


def test_a_wrong_address_is_refused() -> None:
    wrong = ["dask:", "dask://", "dask://host", "dask://host:x", "dask://host:0", "dask://u@host:1", "dask://host:1/x"]
    for url in (*wrong, "dask://host:1?at_once=0", "dask://host:1?at_once=x", "dask://host:1?at=2"):
        with pytest.raises(InvalidInput, match=r"is not dask://host:port of a Dask scheduler, such as"):
            open_workers(url)


def test_the_address_says_how_much_is_given_to_the_cluster_at_once(two: Cluster) -> None:
    made = open_workers(f"{two.url}?at_once=5")
    assert made.count == 5
    made.close()


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("services.platform.workers.dask", "services.platform.workers.dask_worker"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InvalidInput, match=r"needs distributed, .* pip install 'ratchet-models-server\[dask\]'"):
        open_workers("dask://127.0.0.1:8786")
