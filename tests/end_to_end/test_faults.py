"""A session survives what it depends on: services cut off, killed and full in the middle of it, it waits and ends once.

Between the services stand intermediaries, so that each fault comes at the very moment that it is about.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from ratchet import Client
from ratchet.client.transport import Transport
from ratchet.errors import DeadlinePassed, LogFull, Unreachable
from ratchet.registry.v1 import registry_pb2
from services.local.supervisor import serve_command
from services.platform.log_client import LogClient
from tests.support.datasets import dataset
from tests.support.grpc_proxy import Between, Times
from tests.support.running import Running, running

ENDS = ("TrainingCompleted", "TrainingFailed", "TrainingCancelled")
UNTIL = "2003-12-31"
GIVEN_UP_AFTER = 60.0
RETRIES = 4
"""Times that a service sends a call while nobody answers, before it says so to its own caller."""


class Faulty(Running):
    """The services of one home, each calling the others through an intermediary."""

    def __init__(self, home: Path) -> None:
        self.registry = Between()
        """Between the trainer and the registry."""
        self.log = Between()
        """Between knowledge and the registry."""
        self.knowledge = Between()
        """Between the trainer and knowledge."""
        super().__init__(home, self._command)

    def _command(self, service: str, home: Path, port: int) -> list[str]:
        address = f"127.0.0.1:{port}"
        if service == "registry":
            self.registry.target = self.log.target = address
        elif service == "knowledge":
            self.knowledge.target = address
        registry = self.log if service == "knowledge" else self.registry
        addresses = (f"RATCHET_REGISTRY={registry.address}", f"RATCHET_KNOWLEDGE={self.knowledge.address}")
        return ["env", *addresses, *serve_command(service, home, port)]

    def stop(self) -> None:
        self.calm()
        super().stop()
        for between in (self.registry, self.log, self.knowledge):
            between.close()

    def calm(self) -> None:
        """No more faults."""
        for between in (self.registry, self.log, self.knowledge):
            between.before.clear()
            between.after.clear()
            between.cut = False

    def kill(self, service: str) -> None:
        """Kill the service, and say to the caller what it would see."""
        os.kill(self.supervisor.pids()[service], signal.SIGKILL)
        raise Unreachable(f"the {service} died")

    def facts(self, stream: str) -> list[str]:
        """What the log holds of a stream, by the names of its facts."""
        return [
            event.topic.rpartition(".")[2] for event in self.patiently(lambda: [*self.client.read_log(stream=stream)])
        ]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    services = Faulty(tmp_path_factory.mktemp("faulty"))
    try:
        services.import_bars("AAPL")
        yield services
    finally:
        services.stop()


@pytest.fixture
def faulty(started: Faulty) -> Iterator[Faulty]:
    yield started
    started.calm()
    started.patiently(started.client.get_head)


def impatient(services: Running) -> Client:
    """A client that sends each call once."""
    client = Client(**asdict(services.client.endpoints), actor="tester")
    for name in ("trainer", "knowledge"):
        patient: Transport = getattr(client, name)
        setattr(client, name, Transport(patient.service, patient.lazy_channel, "tester", patient.timeout, backoff=()))
    return client


def begin(faulty: Faulty, target: str, horizon: int = 0) -> str:
    """A short session; its id."""
    start = faulty.client.start_training
    request_id = f"{target} {horizon}"
    return faulty.patiently(
        lambda: start("AAPL", "logistic", target, horizon=horizon, until=UNTIL, request_id=request_id)
    ).session_id


def ended_once(faulty: Faulty, session_id: str) -> registry_pb2.Training:
    """The session once it has ended: with one end, and with one model and one ranking where it was completed."""
    training = faulty.ended(session_id)
    own = faulty.facts(f"session/{session_id}")
    assert len([fact for fact in own if fact in ENDS]) == 1, own
    completed = training.state == registry_pb2.TRAINING_STATE_COMPLETED
    assert faulty.facts(f"lineage/{training.lineage}").count("ModelTrained") == completed, training.message
    assert faulty.facts(f"features/{training.lineage}") == ["FeaturesRanked"] * completed
    return training


def completed_once(faulty: Faulty, session_id: str) -> bool:
    return ended_once(faulty, session_id).state == registry_pb2.TRAINING_STATE_COMPLETED


def test_train_says_what_it_waits_for_and_watches_on_when_the_trainer_was_killed(faulty: Faulty) -> None:
    words = ["train", "AAPL", "--model", "logistic", "--target", "range", "--until", UNTIL]
    command = [sys.executable, "-m", "ratchet", *words, "--home", str(faulty.home)]
    waits = f"waiting: the registry at {faulty.registry.address} does not answer"

    def away() -> None:
        faulty.registry.cut = True
        raise Unreachable("gone")

    killed = faulty.knowledge.after["GetKnowledge"] = Times(1, lambda: faulty.kill("trainer"))
    faulty.registry.before["RecordTraining"] = Times(1, away)
    unsaid = threading.Timer(GIVEN_UP_AFTER, faulty.calm)
    unsaid.start()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as train:
        assert train.stderr is not None
        said = []
        for line in train.stderr:
            said.append(line)
            if waits in line:
                faulty.calm()
    unsaid.cancel()
    assert train.returncode == 0, said
    assert killed.left == 0
    assert [line for line in said if waits in line], said
    [training] = faulty.client.list_trainings(lineage="AAPL/range/logistic")
    assert completed_once(faulty, training.session_id)


def test_a_registry_killed_before_it_decides_and_again_before_it_answers_records_once(faulty: Faulty) -> None:
    moments = [Times(1, lambda: faulty.kill("registry")) for _ in range(2)]
    faulty.registry.before["RecordTraining"], faulty.registry.after["RecordTraining"] = moments
    assert completed_once(faulty, begin(faulty, "direction"))
    assert [moment.left for moment in moments] == [0, 0]


@pytest.mark.slow
def test_knowledge_killed_at_each_of_its_steps_keeps_the_evidence_once(faulty: Faulty) -> None:
    moments = [Times(1, lambda: faulty.kill("knowledge")) for _ in range(3)]
    faulty.knowledge.before["GetKnowledge"], faulty.knowledge.after["RecordEvidence"] = moments[:2]
    faulty.log.after["Append"] = moments[2]
    assert completed_once(faulty, begin(faulty, "volume"))
    assert [moment.left for moment in moments] == [0, 0, 0]


def test_a_session_waits_for_the_store_for_a_full_log_and_for_an_answer_that_came_too_late(faulty: Faulty) -> None:
    store, aside = faulty.home / "artifacts", faulty.home / "aside"
    full = threading.Event()
    full.set()

    def put_aside() -> None:
        store.rename(aside)
        store.touch()

    def refuse() -> None:
        if full.is_set():
            raise LogFull("the log's disk is full")

    def late() -> None:
        raise DeadlinePassed("the registry did not answer in time")

    faulty.knowledge.after["GetKnowledge"] = Times(1, put_aside)
    faulty.registry.before["RecordTraining"] = refuse
    too_late = faulty.registry.after["RecordTraining"] = Times(1, late)
    session_id = begin(faulty, "volatility")
    for progress in faulty.client.watch_training(session_id):
        if f"waiting: can't write artifacts in {store.as_uri()}" in progress.text:
            store.unlink()
            aside.rename(store)
        elif progress.text == "waiting: the log's disk is full":
            full.clear()
    assert completed_once(faulty, session_id)
    assert too_late.left == 0


def test_a_full_store_fails_the_session_with_the_reason_and_leaves_nothing_behind(faulty: Faulty) -> None:
    trainer = psutil.Process(faulty.supervisor.pids()["trainer"])
    unlimited = trainer.rlimit(psutil.RLIMIT_FSIZE)
    before: set[Path] = set()

    def fill_up() -> None:
        before.update((faulty.home / "artifacts").rglob("*"))
        trainer.rlimit(psutil.RLIMIT_FSIZE, (512, unlimited[1]))

    faulty.knowledge.after["GetKnowledge"] = Times(1, fill_up)
    try:
        training = ended_once(faulty, begin(faulty, "range", 2))
    finally:
        trainer.rlimit(psutil.RLIMIT_FSIZE, unlimited)
    assert (training.state, training.reason) == (registry_pb2.TRAINING_STATE_FAILED, "LIMIT_REACHED")
    assert "free some space" in training.message
    left = {path for path in (faulty.home / "artifacts").rglob("*") if path.is_file()}
    assert left == {path for path in before if path.is_file()}


def test_a_session_is_run_although_the_answer_to_its_request_was_lost(faulty: Faulty) -> None:
    def lose() -> None:
        raise Unreachable("the answer is lost")

    faulty.registry.after["RequestTraining"] = Times(RETRIES, lose)
    with impatient(faulty) as client, pytest.raises(Unreachable, match="the answer is lost"):
        client.start_training("AAPL", "logistic", "range", horizon=3, until=UNTIL)
    [training] = faulty.client.list_trainings(lineage="AAPL/range-h3/logistic")
    assert completed_once(faulty, training.session_id)


def test_knowledge_that_lost_the_registry_answers_what_it_knows_and_catches_up(faulty: Faulty) -> None:
    client = faulty.client
    known = faulty.patiently(lambda: client.get_knowledge("AAPL", "range"))
    faulty.log.cut = True
    with suppress(Unreachable):
        faulty.kill("registry")
    faulty.patiently(lambda: faulty.client.register_dataset(dataset("NEW", "d" * 64)))
    head = faulty.client.get_head().position
    assert faulty.patiently(lambda: client.get_knowledge("AAPL", "range")).position == known.position
    with impatient(faulty) as asking, pytest.raises(Unreachable, match=f"registry at {faulty.log.address} does not"):
        asking.get_knowledge("AAPL", "range", min_position=head)
    faulty.log.cut = False
    found = faulty.patiently(lambda: client.get_knowledge("AAPL", "range", min_position=head))
    assert found.position >= head


@pytest.mark.slow
def test_a_session_waits_for_an_object_store_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path, s3=True) as services:
        services.import_bars("AAPL")
        session_id = services.client.start_training("AAPL", "logistic", "range", until=UNTIL).session_id
        phases = (progress.phase for progress in services.client.watch_training(session_id))
        assert any(phase in ("features", "mining", "training") for phase in phases)
        for process in psutil.Process(services.supervisor.pids()["s3"]).children(recursive=True):
            process.kill()
        assert services.ended(session_id).state == registry_pb2.TRAINING_STATE_COMPLETED
        assert services.patiently(services.client.verify).verified


@pytest.mark.slow
def test_a_registry_that_falls_silent_without_a_word_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path) as services:
        log = LogClient(services.client.endpoints.registry, "tester")
        following = log.follow(0)
        next(following)
        registry = services.supervisor.pids()["registry"]
        os.kill(registry, signal.SIGSTOP)
        try:
            with pytest.raises(Unreachable, match="does not answer"):
                next(following)
        finally:
            os.kill(registry, signal.SIGCONT)
        assert log.head() > 0
        log.close()
