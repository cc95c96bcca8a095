"""Killing any service at any time loses no acknowledged event and leaves no second end of a session."""

import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from ratchet.client import Client
from ratchet.errors import RatchetError
from ratchet.registry.v1 import registry_pb2
from tests.support.datasets import dataset
from tests.support.deployments import Place
from tests.support.running import Running, running

ENDS = ("TrainingCompleted", "TrainingFailed", "TrainingCancelled")
CUTS = ("2006-12-29", "2009-12-31", "2011-06-30")


class Writer(threading.Thread):
    """Registers datasets, as a service, as fast as it can and remembers those that were acknowledged."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._stopping = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._stopping.wait(0.02):
            number += 1
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            try:
                self._client.register_dataset(dataset("NOISE", digest, number))
            except RatchetError:
                continue
            self.acknowledged.append(f"dataset/{digest}")

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def kill_in_the_middle(services: Running, cut: str, chance: random.Random) -> registry_pb2.Training:
    victim = chance.choice(["registry", "knowledge", "trainer"])
    request_id = str(chance.random())
    training = services.patiently(
        lambda: services.client.start_training("AAPL", "logistic", "range", until=cut, request_id=request_id)
    )
    time.sleep(chance.uniform(0.0, 4.0))
    os.kill(services.supervisor.pids()[victim], signal.SIGKILL)
    return services.ended(training.session_id)


def survive(services: Running, kills: int, seed: int, service: Mapping[str, str] = {}) -> None:
    """`service`: what a service shows to the others."""
    chance = random.Random(seed)
    services.import_bars("AAPL")
    writer = Writer(Client.from_home(services.home, environ=service, actor="tester"))
    writer.start()
    try:
        ended = [kill_in_the_middle(services, CUTS[number % len(CUTS)], chance) for number in range(kills)]
    finally:
        writer.stop()
    stored = services.patiently(lambda: list(services.client.read_log()))
    rebuilt = services.client.rebuild()
    streams = [event.stream for event in stored]
    assert [event.position for event in stored] == list(range(1, len(stored) + 1))
    assert len(writer.acknowledged) > 10
    assert set(writer.acknowledged) <= set(streams)
    assert len(streams) == len({(event.stream, event.version) for event in stored})
    for training in ended:
        own = [event.topic.rpartition(".")[2] for event in stored if event.stream == f"session/{training.session_id}"]
        assert own[0] == "TrainingRequested"
        assert len([topic for topic in own if topic in ENDS]) == 1, own
        assert training.state == registry_pb2.TRAINING_STATE_COMPLETED, training.message
    models = [event.stream for event in stored if event.topic.endswith("ModelTrained")]
    assert len(models) == kills
    assert all(table.identical for table in rebuilt.tables)


@pytest.mark.timeout(300)
def test_three_kills_at_random_moments(place: Place, tmp_path: Path) -> None:
    with place.running(tmp_path) as services:
        survive(services, kills=3, seed=7, service=place.service)


@pytest.mark.slow
def test_twenty_kills_at_random_moments(tmp_path: Path) -> None:
    with running(tmp_path) as services:
        survive(services, kills=20, seed=11)
