"""The deployment files are valid, agree with the services, and hold no secret."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from services.kernel.server import Server
from services.kernel.settings import PORTS, Service

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose.yaml"
DOCKERFILE = ROOT / "deploy/Dockerfile"
SECRET_NAME = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|ROOT_USER")
FROM_ENVIRONMENT = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(COMPOSE)["services"]
OURS = sorted(SERVICES.keys() - {"minio"})


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of this virtual environment from the root of the tree."""
    program, *arguments = command
    path = Path(sysconfig.get_path("scripts"), program)
    return subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def probe(port: int) -> int:
    """The exit code of compose.yaml's health check, run against a port of this machine."""
    _, _, *arguments, _ = SERVICES["registry"]["healthcheck"]["test"]
    return subprocess.run(
        [sys.executable, *arguments, f"127.0.0.1:{port}"], capture_output=True, check=False
    ).returncode


@contextmanager
def serving() -> Iterator[Server]:
    server = Server("127.0.0.1", 0, threads=2)
    server.start()
    try:
        yield server
    finally:
        server.stop(grace=0)


def test_compose_follows_its_specification() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_has_no_findings() -> None:
    done = tool("hadolint", "--failure-threshold", "style", str(DOCKERFILE))
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_all_services_are_composed() -> None:
    assert sorted(PORTS) == OURS


@pytest.mark.parametrize("name", OURS)
def test_a_command_serves_its_service_on_its_port_and_publishes_it_on_loopback(name: Service) -> None:
    serve, service, *options = shlex.split(SERVICES[name]["command"])
    assert (serve, service) == ("serve", name)
    assert options[options.index("--port") + 1] == str(PORTS[name])
    assert "--insecure" in options
    assert SERVICES[name]["ports"] == [f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"]
    assert SERVICES[name]["healthcheck"]["test"][-1] == f"127.0.0.1:{PORTS[name]}"


def test_addresses_name_the_services_and_their_ports() -> None:
    for name in OURS:
        for variable, address in SERVICES[name]["environment"].items():
            if (peer := variable.removeprefix("RATCHET_").lower()) in PORTS:
                assert address == f"{peer}:{PORTS[peer]}"
                assert SERVICES[name]["depends_on"][peer] == {"condition": "service_healthy"}


def test_targets_are_stages_and_the_services_images_hold_no_ml_libraries() -> None:
    text = DOCKERFILE.read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    targets = {name: SERVICES[name]["build"]["target"] for name in OURS}
    assert targets == {"registry": "service", "knowledge": "service", "trainer": "trainer"}
    assert set(targets.values()) <= stages
    assert "[trainer]" not in text.partition("AS service-builder")[2].partition("FROM ")[0]


def test_what_the_dockerfile_copies_is_let_through() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert {source for sources in copied for source in sources.split()} == let_through


def test_images_have_a_tag_and_run_without_root() -> None:
    text = DOCKERFILE.read_text()
    images = [SERVICES["minio"]["image"], *re.findall(r"^FROM (\S+:\S+)", text, re.MULTILINE)]
    assert all(re.search(r":[^:/]+$", image) and not image.endswith(":latest") for image in images)
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]


def test_no_secret_is_written() -> None:
    settings = {
        f"{name}.{variable}": value
        for name, service in SERVICES.items()
        for variable, value in service.get("environment", {}).items()
        if SECRET_NAME.search(variable)
    }
    assert len(settings) == 4
    assert [where for where, value in settings.items() if not FROM_ENVIRONMENT.fullmatch(value)] == []
    assert not [line for line in DOCKERFILE.read_text().splitlines() if SECRET_NAME.search(line)]


def test_the_health_probe_asks_a_server() -> None:
    with serving() as server:
        assert probe(server.port) == 0
    assert probe(server.port) != 0


def test_a_service_that_does_not_serve_is_unhealthy() -> None:
    with serving() as server:
        server._health.enter_graceful_shutdown()
        assert probe(server.port) == 1
