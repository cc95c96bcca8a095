"""Artifacts in an S3 store: of single services, as containers run them, and of `ratchet up --s3`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ratchet import Client
from ratchet.errors import PreconditionFailed
from ratchet.registry.v1 import registry_pb2
from services.local import ports
from services.local.supervisor import SERVICES
from tests.support.object_store import Endpoint
from tests.support.running import DATA, announced

BUCKET = "end-to-end"


@pytest.fixture
def client(tmp_path: Path, seaweed: Endpoint) -> Iterator[Client]:
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(SERVICES, ports.choose(0), strict=True)}
    environment = {
        **os.environ,
        **seaweed.environ(),
        **{f"RATCHET_{name.upper()}": address for name, address in addresses.items()},
        "RATCHET_ARTIFACTS": seaweed.url(BUCKET),
    }
    started = []
    for name, address in addresses.items():
        place = ["--home", str(tmp_path), "--port", address.partition(":")[2]]
        command = [sys.executable, "-m", "ratchet", "serve", name, *place]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
    for address in addresses.values():
        with grpc.insecure_channel(address) as channel:
            request = health_pb2.HealthCheckRequest()
            health_pb2_grpc.HealthStub(channel).Check(request, timeout=60, wait_for_ready=True)
    with Client(**addresses) as connected:
        yield connected
    for process in reversed(started):
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.slow
def test_a_training_keeps_its_artifacts_in_the_bucket(client: Client, seaweed: Endpoint) -> None:
    bars = client.import_bars(DATA / "GOOG.csv", "GOOG").dataset.registered.artifact.digest
    session = client.start_training("GOOG", "logistic", "range")
    *_, last = client.watch_training(session.session_id)
    assert last.ended.state == registry_pb2.TRAINING_STATE_COMPLETED, last.ended.message
    artifact = client.get_model(last.ended.model).record.artifact.digest
    kept = {stored.object_name for stored in seaweed.client().list_objects(seaweed.bucket(BUCKET), recursive=True)}
    assert {bars, artifact} <= {name.replace("/", "") for name in kept}


@contextmanager
def up(home: Path) -> Iterator[dict[str, str]]:
    """`ratchet up --s3` until Ctrl-C, once it has printed its addresses."""
    command = [sys.executable, "-m", "ratchet", "up", "--s3", "--home", str(home), "--port-base", "0", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        yield announced(running)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 0
        assert f"ratchet up --s3 --home {home}" in said


@pytest.mark.slow
def test_up_keeps_its_artifacts_in_a_store_of_its_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home) as addresses:
        assert list(addresses) == ["s3", *SERVICES]
        assert addresses["s3"].startswith("http://127.0.0.1:")
        with Client.from_home(home, environ={}) as client:
            client.import_bars(DATA / "GOOG.csv", "GOOG")
            found = client.verify([])
            assert found.verified, found.findings
            assert {each.what: each.count for each in found.checked}["artifacts"] == 1
    assert not (home / "artifacts").exists()
    without = [sys.executable, "-m", "ratchet", "up", "--home", str(home), "--port-base", "0"]
    refused = subprocess.run(without, capture_output=True, text=True, timeout=60)
    assert refused.returncode == PreconditionFailed.exit_code
    assert f"ratchet up --s3 --home {home}" in refused.stderr
