"""The wheels are reproducible, run the demo outside the checkout, and install beside other gRPC clients."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import Running, running
from tests.support.wheels import Environment, Wheels, build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NEIGHBOURS = ("tritonclient[grpc]", "mlflow-skinny")
"""Clients of other model services; tritonclient needs protobuf 6."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    return build(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def neighbours(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The client alone, beside the neighbours."""
    folder = tmp_path_factory.mktemp("neighbours")
    return Environment(folder, str(wheels.client), *NEIGHBOURS, constrained=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("served") / "home") as services:
        yield services


def test_wheels_hold_our_packages_alone_and_are_reproducible(wheels: Wheels, tmp_path: Path) -> None:
    again = build(tmp_path)
    for wheel, other, package in zip(wheels, again, ("ratchet", "services"), strict=True):
        assert hashlib.sha256(wheel.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {package}
        assert [name for name in names if name.endswith(".dist-info/licenses/THIRD_PARTY.md")]


def test_the_wheels_run_the_demo(wheels: Wheels, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv", f"{wheels.client}[server]", str(wheels.server))
    environment.run("pip", "check")
    assert "PROMOTED" in environment.run("ratchet", "demo", "--home", "home")


def test_the_client_runs_on_protobuf_6_beside_its_neighbours(neighbours: Environment, served: Running) -> None:
    neighbours.run("pip", "check")
    installed = {each["name"]: each["version"] for each in json.loads(neighbours.run("pip", "list", "--format=json"))}
    assert installed["protobuf"].startswith("6.")
    assert "ratchet-models-server" not in installed
    script = (
        "import sys, mlflow, tritonclient.grpc; from ratchet import Client;"
        "client = Client.from_home(sys.argv[1]); print(list(client.list_models()), client.get_head().position)"
    )
    assert neighbours.run("python", "-c", script, str(served.home)).startswith("[] ")
    assert neighbours.run("ratchet", "log", "verify", "--home", str(served.home))


def test_the_client_alone_lists_no_command_of_the_server(neighbours: Environment) -> None:
    page = neighbours.run("ratchet", "--help")
    assert "models" in page
    assert "demo" not in page
    for words in (("up",), ("log", "import", "export.jsonl"), ("log", "key", "rotate", "new.key")):
        refused = neighbours.ran("ratchet", *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "pip install 'ratchet-models[server]'" in refused.stderr
