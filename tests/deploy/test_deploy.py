"""The image recipe and the compose file are valid, agree with the services, hold no secret and let little through."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sysconfig
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ruamel.yaml import YAML

from ratchet.client.services import SERVICES
from services.platform.server import CLOSING_SECONDS, GRACE_SECONDS, Server

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose.yaml"
DOCKERFILE = ROOT / "deploy/Dockerfile"
SECRET_NAME = re.compile(r"ACCESS_KEY|SECRET|PASSWORD|TOKEN$|ROOT_USER")
FROM_ENVIRONMENT = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")
COMPOSED: dict[str, Any] = YAML(typ="safe", pure=True).load(COMPOSE)
CONTAINERS: dict[str, dict[str, Any]] = COMPOSED["services"]
OURS = sorted(SERVICES)
OF_OUR_IMAGES = sorted(name for name, service in CONTAINERS.items() if "build" in service)

OF_ARTIFACTS = {"registry", *(name for name, service in SERVICES.items() if "artifacts" in service.checks)}
CALLS = {
    *((name, called) for name, service in SERVICES.items() for called in service.calls),
    *((name, "minio") for name in OF_ARTIFACTS),
    ("registry", "postgres"),
    ("trainer", "scheduler"),
    ("trainer", "worker"),
    ("scheduler", "worker"),
}
"""Who must reach whom."""
SIGHT = {"prometheus", "grafana"}
OF_ML = {"trainer", "predictor", "scheduler", "worker"}
"""Containers that need the ML libraries."""


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of this virtual environment from the root of the tree."""
    program, *arguments = command
    path = Path(sysconfig.get_path("scripts"), program)
    return subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def probe(name: str, port: int) -> int:
    """The exit code of a service's health check in the compose file, run against a port of this machine."""
    _, *command = CONTAINERS[name]["healthcheck"]["test"]
    environment = {**os.environ, SERVICES[name].variable: f"127.0.0.1:{port}"}
    program = Path(sysconfig.get_path("scripts"), command[0])
    return subprocess.run([program, *command[1:]], env=environment, capture_output=True, check=False).returncode


def seconds(duration: str) -> float:
    assert duration.endswith("s")
    return float(duration[:-1])


@contextmanager
def serving() -> Iterator[Server]:
    server = Server("127.0.0.1", 0)
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


@pytest.mark.parametrize("name", OURS)
def test_a_command_serves_its_service_on_its_port_and_publishes_it_on_loopback(name: str) -> None:
    serve, service, *options = shlex.split(CONTAINERS[name]["command"])
    assert (serve, service) == ("serve", name)
    assert options[options.index("--port") + 1] == str(SERVICES[name].port)
    assert "--insecure" not in options
    assert CONTAINERS[name]["ports"] == [f"127.0.0.1:{SERVICES[name].port}:{SERVICES[name].port}"]
    assert CONTAINERS[name]["healthcheck"]["test"] == ["CMD", "ratchet", "health", name]


def test_nothing_else_is_published_beyond_this_machine() -> None:
    published = [port for service in CONTAINERS.values() for port in service.get("ports", ())]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)
    assert {name for name, service in CONTAINERS.items() if "ports" in service} <= {*OURS, *SIGHT}


def test_services_speak_tls_and_know_their_callers() -> None:
    for name in OURS:
        environment = CONTAINERS[name]["environment"]
        given = {f"/run/secrets/{secret}" for secret in CONTAINERS[name]["secrets"]}
        assert {environment[f"RATCHET_TLS_{what}"] for what in ("CERT", "KEY", "CA")} == given
        folder = str(Path(environment["RATCHET_TOKENS"]).parent)
        assert f"./identity/tokens:{folder}:ro" in CONTAINERS[name]["volumes"]
    assert "ca.key" not in COMPOSE.read_text()


def test_who_calls_another_has_a_token_of_its_own_and_a_hint_that_makes_it_with_its_role() -> None:
    told = {name: CONTAINERS[name]["environment"].get("RATCHET_TOKEN") for name in OURS}
    assert told == {
        name: f"${{{name.upper()}_TOKEN:?ratchet tokens add {name} --role {service.role}}}" if service.role else None
        for name, service in SERVICES.items()
    }


def test_addresses_name_the_services_and_their_ports_for_those_who_call_them() -> None:
    for called in OURS:
        told = {
            name: service["environment"][SERVICES[called].variable]
            for name, service in CONTAINERS.items()
            if SERVICES[called].variable in service.get("environment", {})
        }
        assert told == {name: f"{called}:{SERVICES[called].port}" for name, other in CALLS if other == called}
        for name in told:
            assert CONTAINERS[name]["depends_on"][called] == {"condition": "service_healthy"}
    log, artifacts = (
        urlsplit(CONTAINERS["registry"]["environment"][f"RATCHET_{what}"]) for what in ("LOG", "ARTIFACTS")
    )
    [endpoint] = parse_qs(artifacts.query)["endpoint"]
    assert (log.hostname, log.password, urlsplit(endpoint).hostname) == ("postgres", None, "minio")


def test_nobody_starts_before_those_whom_it_calls_are_well() -> None:
    for name, called in CALLS:
        if called in (*OURS, "postgres", "minio"):
            assert CONTAINERS[name]["depends_on"][called] == {"condition": "service_healthy"}
            assert CONTAINERS[called]["healthcheck"]["test"][0] == "CMD"


def test_services_that_use_artifacts_have_the_same_store() -> None:
    told = {name: service.get("environment", {}).get("RATCHET_ARTIFACTS") for name, service in CONTAINERS.items()}
    assert {name for name, url in told.items() if url} == OF_ARTIFACTS
    assert len({told[name] for name in OF_ARTIFACTS}) == 1


def test_every_variable_of_ours_is_read() -> None:
    code = "".join(path.read_text() for package in ("ratchet", "services") for path in (ROOT / package).rglob("*.py"))
    given = {variable for name in OURS for variable in CONTAINERS[name]["environment"] if variable != "PGPASSWORD"}
    unnamed = given - {service.variable for service in SERVICES.values()}
    assert [variable for variable in sorted(unnamed) if f'"{variable}"' not in code] == []


def test_nobody_meets_a_store_or_dask_without_need() -> None:
    """Services of ours may meet each other: each asks for a certificate and a token."""
    members = defaultdict(set)
    for name, service in CONTAINERS.items():
        for network in service["networks"]:
            members[network].add(name)
    met = {
        (one, other)
        for network, names in members.items()
        for one in names
        for other in names
        if network != "metrics" and one != other and not {one, other} & SIGHT
    }
    assert set(CALLS) <= met
    beyond = {frozenset(pair) for pair in met if not set(pair) <= set(OURS)}
    assert beyond == {frozenset(pair) for pair in CALLS if not set(pair) <= set(OURS)}
    assert members["metrics"] - SIGHT == set(OURS)
    inside = {name for name, network in COMPOSED["networks"].items() if (network or {}).get("internal")}
    assert {"database", "artifacts", "workers", "metrics"} <= inside


def test_every_container_has_no_rights_and_no_room_that_it_does_not_need() -> None:
    for name, service in CONTAINERS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert "/tmp" in service["tmpfs"], name


def test_what_ends_is_started_again_and_its_children_are_waited_for() -> None:
    assert {(service["restart"], service["init"]) for service in CONTAINERS.values()} == {("unless-stopped", True)}


def test_programs_can_read_the_lines_of_the_services() -> None:
    assert {CONTAINERS[name]["environment"]["RATCHET_LOG_FORMAT"] for name in OURS} == {"json"}


def test_a_service_has_the_time_to_drain() -> None:
    for name in OURS:
        assert seconds(CONTAINERS[name]["stop_grace_period"]) > GRACE_SECONDS + CLOSING_SECONDS


def test_what_must_last_has_a_volume() -> None:
    kept = {
        volume.split(":")[0]: (name, volume.split(":")[1])
        for name, service in CONTAINERS.items()
        for volume in service.get("volumes", ())
        if not volume.startswith("./")
    }
    assert set(kept) == set(COMPOSED["volumes"])
    assert kept["database"] == ("postgres", "/var/lib/postgresql"), "where the images of PostgreSQL 18 keep it"
    assert kept["artifacts"] == ("minio", "/data")
    assert kept["registry"] == ("registry", "/data")


def test_prometheus_reaches_the_metrics_with_the_files_that_it_is_given() -> None:
    prometheus = YAML(typ="safe", pure=True).load(ROOT / "deploy/prometheus.yml")
    [job] = prometheus["scrape_configs"]
    ports = {name: CONTAINERS[name]["environment"]["RATCHET_METRICS"].partition(":")[2] for name in OURS}
    assert job["scheme"] == "https"
    [targets] = job["static_configs"]
    assert sorted(targets["targets"]) == [f"{name}:{ports[name]}" for name in OURS]
    assert set(job["tls_config"].values()) == {
        f"/run/secrets/{secret}" for secret in CONTAINERS["prometheus"]["secrets"]
    }
    mounted = [
        volume.split(":")[0] for name in SIGHT for volume in CONTAINERS[name]["volumes"] if volume.startswith("./")
    ]
    assert all((ROOT / "deploy" / path).exists() for path in mounted)
    assert {f"./{name}" for name in prometheus["rule_files"]} <= set(mounted)


def test_grafana_is_given_prometheus_and_the_dashboards() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    [source] = YAML(typ="safe", pure=True).load(provisioning / "datasources/prometheus.yaml")["datasources"]
    [provider] = YAML(typ="safe", pure=True).load(provisioning / "dashboards/ratchet.yaml")["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert all("metrics" in CONTAINERS[name]["networks"] for name in ("grafana", "prometheus"))
    mounted = {f"./grafana/{name}:/etc/grafana/{name}:ro" for name in ("provisioning", "dashboards")}
    assert mounted <= set(CONTAINERS["grafana"]["volumes"])
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


def test_targets_are_stages_and_the_services_images_hold_no_ml_libraries() -> None:
    text = DOCKERFILE.read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    targets = {name: CONTAINERS[name]["build"]["target"] for name in OF_OUR_IMAGES}
    assert {name for name, target in targets.items() if target == "trainer"} == OF_ML
    assert set(targets.values()) <= stages
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {name: CONTAINERS[name]["image"] for name in targets} == {
        name: f"ratchet-{target}:{version}" for name, target in targets.items()
    }


def test_what_the_dockerfile_copies_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*", "keys and homes beside the code go nowhere"
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert {source for sources in copied for source in sources.split()} == let_through


def test_images_have_a_tag_and_run_without_root() -> None:
    text = DOCKERFILE.read_text()
    images = [service["image"] for service in CONTAINERS.values()] + re.findall(r"^FROM (\S+:\S+)", text, re.MULTILINE)
    assert all(re.search(r":[^:/]*\d[^:/]*$", image) for image in images)
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]


def test_no_secret_is_written() -> None:
    secret = [
        (f"{name}.{variable}", value)
        for name, service in CONTAINERS.items()
        for variable, value in service.get("environment", {}).items()
        if SECRET_NAME.search(variable)
    ]
    assert len(secret) >= 12
    assert [where for where, value in secret if not FROM_ENVIRONMENT.fullmatch(value)] == []
    assert not [line for line in DOCKERFILE.read_text().splitlines() if SECRET_NAME.search(line)]
    ignored = (ROOT / "deploy/.gitignore").read_text().split()
    assert {".env", "identity/"} <= set(ignored)
    assert all(secret["file"].startswith("identity/") for secret in COMPOSED["secrets"].values())


def test_the_health_probe_asks_a_server() -> None:
    with serving() as server:
        assert probe("registry", server.port) == 0
    assert probe("registry", server.port) == 5


def test_a_service_that_does_not_serve_is_unhealthy() -> None:
    with serving() as server:
        server._health.enter_graceful_shutdown()
        assert probe("registry", server.port) == 5
