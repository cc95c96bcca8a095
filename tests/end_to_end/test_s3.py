"""Single services, as containers run them, with artifacts in an S3 store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from running import DATA
from seaweed import Seaweed

from ratchet import Client
from ratchet.cli import ports
from ratchet.cli.supervisor import SERVICES
from ratchet.registry.v1 import registry_pb2

BUCKET = "end-to-end"


@pytest.fixture
def client(tmp_path: Path, seaweed: Seaweed) -> Iterator[Client]:
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


def test_a_training_keeps_its_artifacts_in_the_bucket(client: Client, seaweed: Seaweed) -> None:
    dataset = client.import_bars(DATA / "GOOG.csv", "GOOG").dataset.registered.digest
    session = client.start_training("GOOG", "logistic", "range")
    *_, last = client.watch_training(session.session_id)
    assert last.ended.state == registry_pb2.TRAINING_STATE_COMPLETED, last.ended.message
    artifact = client.get_model(last.ended.model).record.artifact.digest
    kept = {stored.object_name for stored in seaweed.client().list_objects(BUCKET, recursive=True)}
    assert {dataset, artifact} <= {name.replace("/", "") for name in kept}
