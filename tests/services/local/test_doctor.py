"""ratchet doctor looks at everything, and says what to run where something is wrong."""

import json
import os
import re
import shlex
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from ratchet.cli import certs, cli
from ratchet.client.credentials import TLS_VARIABLES
from ratchet.client.services import SERVICES
from ratchet.transparency import checkpoints
from ratchet.transparency.keys import create_private, load_private, origin_of, public_bytes, write_public
from services.knowledge import bootstrap as knowledge
from services.local import doctor_machine, doctor_services
from services.platform.identity import token_file
from services.platform.server import Server
from services.platform.settings import Settings
from services.platform.telemetry import Telemetry, health
from services.registry import bootstrap as registry
from tests.support.identity import Secured, secured  # noqa: F401 a fixture
from tests.support.object_store import Seaweed, seaweed  # noqa: F401 a fixture

Doctor = Callable[..., dict[str, dict[str, str]]]
NOBODY = "127.0.0.1:1"
NOW = datetime.now(UTC)


@pytest.fixture
def doctor(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """doctor("--home", …) → each finding by what it is about; every remedy is a command that is there."""
    for service in ("REGISTRY", "KNOWLEDGE", "TRAINER", "PREDICTOR"):
        monkeypatch.setenv(f"RATCHET_{service}", NOBODY)

    def call(*words: str) -> dict[str, dict[str, str]]:
        ran = run("doctor", *words, "-o", "json")
        found = {each["what"]: each for each in json.loads(ran.out)}
        wrong = [each for each in found.values() if not each["ok"]]
        assert ran.code == (5 if wrong else 0)
        assert not [each for each in found.values() if each["ok"] and each["remedy"]]
        for each in wrong:
            require_command(each["remedy"])
        return found

    return call


def require_command(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "ratchet":
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        command.make_context(words[0], words[1:], resilient_parsing=True)
    else:
        assert shutil.which(program) or program == "sudo", line


@contextmanager
def serving(
    home: Path, monkeypatch: pytest.MonkeyPatch, *services: str, host: str = "127.0.0.1"
) -> Iterator[dict[str, Server]]:
    """Real services on `home`, whose addresses are in the environment."""
    servers: dict[str, Server] = {}
    with ExitStack() as stack:
        for name, build in (("registry", registry.build), ("knowledge", knowledge.build)):
            if name in services:
                server, closers = build(Settings.load(name, home, host, 0))  # type: ignore[arg-type]
                server.start()
                servers[name] = server
                for close in reversed(closers):
                    stack.callback(close)
                stack.callback(server.stop, 0)
                monkeypatch.setenv(f"RATCHET_{name.upper()}", f"127.0.0.1:{server.port}")
        yield servers


def test_what_runs_is_well_and_of_this_version(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_METRICS", "127.0.0.1:0")
    with serving(tmp_path, monkeypatch, "registry", "knowledge"):
        found = doctor("--home", str(tmp_path))
    assert [what for what, each in found.items() if not each["ok"]] == ["trainer", "predictor"]
    assert found["registry: its database"]["found"] == "answers"
    assert found["knowledge: its log"]["found"] == "answers"
    assert "0.1.0 there, 0.1.0 here" in found["registry version"]["found"]
    assert "at http://127.0.0.1:" in found["knowledge metrics"]["found"]
    assert found["log"]["found"].startswith("1 events, 0.")
    assert not found["log"]["found"].endswith(" 0.0 MiB")
    assert "goes on from the" in found["checkpoint"]["found"]
    assert found["trainer"]["remedy"] == f"ratchet up --home {tmp_path}"
    assert "GiB free" in found["disk"]["found"]


def test_the_artifacts_of_a_home_are_looked_for_where_they_are(doctor: Doctor, tmp_path: Path) -> None:
    assert doctor("--home", str(tmp_path))["artifacts"]["found"] == f"{tmp_path / 'artifacts'} will be made"
    (tmp_path / "s3").mkdir()
    (tmp_path / "s3" / "store.json").write_text("{}")
    assert doctor("--home", str(tmp_path))["artifacts"]["found"] == f"{tmp_path / 's3'} is there"


@pytest.mark.slow
def test_a_database_that_takes_no_writes_is_named(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serving(tmp_path, monkeypatch, "registry"),
        closing(sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        end = time.monotonic() + 20
        while (found := doctor("--home", str(tmp_path)))["registry"]["ok"]:
            assert time.monotonic() < end
        other.execute("ROLLBACK")
    assert not found["registry: its database"]["ok"]
    assert "did not answer within" in found["registry"]["found"]


def test_what_this_machine_lacks_is_named(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_machine, "MIN_PYTHON", (99, 0))
    monkeypatch.setattr(doctor_machine, "TRAINER_LIBRARIES", ("sklearn", "no_such_library"))
    (tmp_path / "file").touch()
    found = doctor("--home", str(tmp_path / "file" / "home"))
    assert not found["python"]["ok"]
    assert found["training"]["found"] == "missing: no_such_library"
    assert found["training"]["remedy"] == "pip install 'ratchet-models[server]'"
    assert found["home"]["found"] == found["artifacts"]["found"] == f"{tmp_path / 'file'} can't be written to"


def test_a_service_that_is_not_ready_is_named_with_what_it_needs(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, monkeypatch, "knowledge"):
        found = doctor("--home", str(tmp_path))
    assert not found["knowledge"]["ok"]
    assert found["knowledge"]["found"].startswith("not ready at 127.0.0.1:")
    assert not found["knowledge: its log"]["ok"]


def test_metrics_that_are_not_there_are_found(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_METRICS", "127.0.0.1:0")
    with serving(tmp_path, monkeypatch, "registry") as servers:
        url = servers["registry"].telemetry.url
        monkeypatch.setattr(Telemetry, "url", "http://127.0.0.1:1/metrics")
        found = doctor()["registry metrics"]
    assert url.startswith("http://127.0.0.1:")
    assert (found["ok"], found["remedy"]) == (False, "curl --silent --show-error http://127.0.0.1:1/metrics")


def test_metrics_beyond_this_machine_are_asked_for_where_the_service_is_and_under_its_tls(
    doctor: Doctor,
    secured: Secured,  # noqa: F811 the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RATCHET_METRICS", "0.0.0.0:0")
    for variable, file in secured.tls("server").items():
        monkeypatch.setenv(variable, file)
    with serving(tmp_path, monkeypatch, "registry", host="0.0.0.0"):
        found = doctor()["registry metrics"]
    assert found["ok"], found
    assert "at https://127.0.0.1:" in found["found"]


def test_a_clock_that_is_apart_is_found(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Behind:
        @staticmethod
        def time_ns() -> int:
            return time.time_ns() - 90 * 10**9

    monkeypatch.setattr(health, "time", Behind)
    with serving(tmp_path, monkeypatch, "registry"):
        found = doctor()["registry clock"]
    assert not found["ok"]
    assert re.fullmatch(r"(90|89)\.\d+ s behind this one", found["found"])


def test_another_version_is_found(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch, "registry"):
        monkeypatch.setattr(doctor_services.importlib.metadata, "version", lambda _: "9.9.9")
        found = doctor()["registry version"]
    assert (found["ok"], found["found"]) == (False, "0.1.0 there, 9.9.9 here")
    assert found["remedy"] == "pip install 'ratchet-models[server]==0.1.0'"


def test_a_log_that_is_not_the_one_remembered_is_found(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, monkeypatch, "registry"):
        key = load_private(tmp_path / "signing.key")
        longer = checkpoints.sign(key, origin_of(public_bytes(key)), 7, bytes(32), 1)
        (tmp_path / "checkpoints.txt").write_text(longer.note)
        found = doctor("--home", str(tmp_path))["checkpoint"]
    assert not found["ok"]
    assert "truncated or replaced" in found["found"]
    assert found["remedy"] == f"ratchet log verify --home {tmp_path}"


def test_a_log_that_another_key_signed_is_found(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = public_bytes(create_private(tmp_path / "other.key"))
    with serving(tmp_path, monkeypatch, "registry"):
        (tmp_path / "signing.pub").unlink()
        write_public(tmp_path / "signing.pub", other)
        (tmp_path / "checkpoints.txt").unlink()
        found = doctor("--home", str(tmp_path))["checkpoint"]
    assert not found["ok"]
    assert "the signature of the log's end is not that of" in found["found"]


def test_a_token_is_tried_and_its_role_told(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tokens.jsonl"
    text, _ = token_file.add(file, "ada", "promoter", datetime.now(UTC))
    monkeypatch.setenv("RATCHET_TOKENS", str(file))
    with serving(tmp_path, monkeypatch, "registry"):
        without = doctor()
        monkeypatch.setenv("RATCHET_TOKEN", text)
        found = doctor()
    assert not without["token"]["ok"]
    assert "log" not in without
    assert (found["token"]["ok"], found["token"]["found"]) == (True, "ada, promoter")
    assert found["log"]["found"].startswith("1 events")


@pytest.mark.parametrize(
    ("made", "days", "name", "ok"),
    [(NOW, 365, "tls cert", True), (NOW, 3, "tls cert", False), (datetime(2020, 1, 1, tzinfo=UTC), 9, "tls", False)],
)
def test_tls_files_are_read_and_their_end_is_told(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: datetime, days: int, name: str, ok: bool
) -> None:
    authority = certs.Authority(made, days)
    certificate, key = authority.issue("me", ["localhost"])
    encoded = {
        "cert": certificate.public_bytes(certs.Encoding.PEM),
        "ca": authority.certificate.public_bytes(certs.Encoding.PEM),
        "key": key.private_bytes(certs.Encoding.PEM, certs.PrivateFormat.PKCS8, certs.NoEncryption()),
    }
    for what, content in encoded.items():
        (tmp_path / what).write_bytes(content)
        (tmp_path / what).chmod(0o600)
        monkeypatch.setenv(TLS_VARIABLES[what], str(tmp_path / what))
    found = doctor()
    assert found[name]["ok"] == ok
    assert ("registry" in found) == (name != "tls")


def test_a_store_is_tried_and_left_as_it_was(
    doctor: Doctor,
    seaweed: Seaweed,  # noqa: F811 the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in seaweed.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RATCHET_ARTIFACTS", seaweed.url("looked-at"))
    absent = doctor()["artifacts"]
    assert absent["ok"]
    assert not seaweed.client().bucket_exists("looked-at")
    seaweed.client().make_bucket("looked-at")
    found = doctor()["artifacts"]
    assert found["ok"]
    assert "takes, gives back and removes" in found["found"]
    assert list(seaweed.client().list_objects("looked-at", recursive=True)) == []
    seaweed.client().make_bucket("locked", object_lock=True)
    monkeypatch.setenv("RATCHET_ARTIFACTS", f"{seaweed.url('locked')}&retain=1")
    locked = doctor()["artifacts"]
    assert locked["ok"]
    assert "so nothing was put" in locked["found"]
    assert list(seaweed.client().list_objects("locked", recursive=True)) == []
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    refused = doctor()["artifacts"]
    assert not refused["ok"]
    assert "another-secret" not in json.dumps(refused)


def test_a_port_that_another_process_holds_is_named(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        monkeypatch.setenv("RATCHET_REGISTRY", f"127.0.0.1:{other.getsockname()[1]}")
        monkeypatch.setattr(doctor_services, "HEALTH_SECONDS", 0.3)
        found = doctor()["registry"]
    assert f"held by process {os.getpid()}" in found["found"]
    assert found["remedy"] == "ratchet up --port-base 0"


def test_a_disk_without_room_is_found(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.local.doctor_machine.MIN_FREE", 1 << 62)
    found = doctor()["disk"]
    assert not found["ok"]
    assert found["remedy"].startswith("du ")


def test_without_services_nothing_else_is_wrong(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES.values():
        monkeypatch.setenv(service.variable, NOBODY)
    ran = run("doctor", "-o", "json")
    found = {finding["what"]: finding for finding in json.loads(ran.out)}
    assert ran.code == 5
    assert found["python"]["ok"]
    assert [name for name, finding in found.items() if not finding["ok"]] == [
        "registry",
        "knowledge",
        "trainer",
        "predictor",
    ]
    assert all(finding["ok"] or finding["remedy"] for finding in found.values())
