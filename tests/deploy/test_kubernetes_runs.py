"""What the Kubernetes manifests run does what it is there for, with the settings and the secrets of its pod."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from ratchet.cli import cli
from ratchet.cli.certs import write_certificates
from ratchet.client.services import SERVICES
from ratchet.errors import NotAllowed
from ratchet.transparency.checkpoint_files import read_checkpoints
from ratchet.transparency.keys import create_private, load_private, public_bytes, write_public
from services.local import ports
from services.platform.identity import token_file
from services.platform.identity.token_file import Role
from tests.support.manifests import PODS, SERVERS, main_container, settings

NOW = datetime.now(UTC)
STARTED_WITHIN = 60.0
FOLDERS = ("/identity", "/kept", "/data")
OF_STORES = ("RATCHET_LOG", "RATCHET_ARTIFACTS", "RATCHET_METRICS", "PG", "AWS_")


class Cluster:
    """A folder in place of the root of every container, with the secrets of docs/deployment.md, and addresses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.addresses = {name: f"127.0.0.1:{port}" for name, port in zip(SERVICES, ports.choose(0), strict=True)}
        for folder in FOLDERS:
            (root / folder[1:]).mkdir()
        write_certificates(root / "certs", (), NOW)
        self._lay_tls("services-tls", "server")
        self._lay_tls("callers-tls", "client")
        signing = root / "identity/signing"
        signing.mkdir()
        write_public(signing / "signing.pub", public_bytes(create_private(signing / "signing.key")))
        self._tokens = {name: self._token(name, "viewer") for name in ("predictor", "auditor", "backup")}

    def _lay_tls(self, secret: str, kind: str) -> None:
        folder = self.root / "identity" / secret
        folder.mkdir()
        for source, target in ((f"{kind}.pem", "tls.crt"), (f"{kind}.key", "tls.key"), ("ca.pem", "ca.crt")):
            shutil.copy(self.root / "certs" / source, folder / target)

    def _token(self, name: str, role: Role) -> str:
        return token_file.add(self.root / "identity/tokens/tokens.jsonl", name, role, NOW)[0]

    def environment(self, pod: str) -> dict[str, str]:
        """What the pod's container is told but for its stores, and the addresses here of the registry and of itself."""
        [tls] = [volume["secret"]["secretName"] for volume in PODS[pod]["volumes"] if volume["name"] == "tls"]
        told = {
            variable: self.inside(value.replace("/identity/tls", f"/identity/{tls}"))
            for variable, value in settings(pod).items()
            if not variable.startswith(OF_STORES)
        }
        path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
        return {
            "PATH": path,
            **told,
            "RATCHET_TOKEN": self._tokens.get(pod, ""),
            **{SERVICES[name].variable: self.addresses[name] for name in ("registry", pod) if name in SERVICES},
        }

    def inside(self, text: str) -> str:
        """`text` with the folders of a container in this one."""
        for folder in FOLDERS:
            text = text.replace(folder, f"{self.root}{folder}")
        return text

    def run(self, pod: str, *command: str) -> subprocess.CompletedProcess[str]:
        words = [self.inside(word).replace("$$", "$") for word in command]
        environment = self.environment(pod)
        return subprocess.run(words, env=environment, cwd=self.root, capture_output=True, text=True, timeout=60)

    def probe(self, pod: str) -> int:
        """The exit code of a pod's readiness probe."""
        return self.run(pod, *main_container(pod)["readinessProbe"]["exec"]["command"]).returncode

    @contextmanager
    def serving(self, pod: str) -> Iterator[None]:
        """The service of a pod, as its manifest serves it, on loopback."""
        host, _, port = self.addresses[pod].partition(":")
        here = {"0.0.0.0": host, str(SERVICES[pod].port): port}
        command = ["ratchet", *(here.get(word, self.inside(word)) for word in main_container(pod)["args"])]
        assert self.probe(pod) == 5
        process = subprocess.Popen(command, env=self.environment(pod), cwd=self.root)
        try:
            end = time.monotonic() + STARTED_WITHIN
            while self.probe(pod) != 0:
                assert process.poll() is None
                assert time.monotonic() < end
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With its registry."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    with made.serving("registry"):
        yield made


def parsed(words: list[str]) -> click.Context:
    """The command that `ratchet words…` is; UsageError when it is none."""
    context = cli.make_context("ratchet", words)
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize("name", SERVERS)
def test_commands_are_those_of_the_command_line(name: str) -> None:
    container = main_container(name)
    parsed(container["args"])
    ratchet, *words = container["readinessProbe"]["exec"]["command"]
    assert (ratchet, *words) == ("ratchet", "health", name)
    parsed(words)


def test_the_registry_takes_the_key_that_its_init_container_lays_down(tmp_path: Path) -> None:
    """A secret's file may be read by its group, which the registry refuses of a private key."""
    private, laid_down = tmp_path / "secret", tmp_path / "signing"
    create_private(private)
    private.chmod(0o440)
    with pytest.raises(NotAllowed):
        load_private(private)
    [init] = PODS["registry"]["initContainers"]
    *command, source, target = init["command"]
    assert {str(Path(source).parent), str(Path(target).parent)} == {each["mountPath"] for each in init["volumeMounts"]}
    assert target == settings("registry")["RATCHET_SIGNING_KEY"]
    subprocess.run([*command, private, laid_down], check=True)
    load_private(laid_down)


def test_the_predictor_serves_and_reads_the_registry_with_the_rights_of_a_viewer(cluster: Cluster) -> None:
    with cluster.serving("predictor"):
        asked = cluster.run("predictor", "ratchet", "predict", "AAPL", "--model", "AAPL/range/logistic/v1")
    assert asked.returncode == 3, "the registry has no such model, and said so: " + asked.stderr


def test_the_auditor_verifies_the_log_and_remembers_what_it_saw(cluster: Cluster) -> None:
    audited = cluster.run("auditor", "ratchet", *main_container("auditor")["args"])
    assert audited.returncode == 0, audited.stderr
    kept = cluster.root / "kept/checkpoints.txt"
    assert len(read_checkpoints(kept)) == 1

    [seen] = read_checkpoints(kept)
    kept.write_text(seen.note.replace(b64encode(seen.root).decode(), b64encode(bytes(32)).decode()), encoding="utf-8")
    changed = cluster.run("auditor", "ratchet", *main_container("auditor")["args"])
    assert changed.returncode == 7, changed.stdout + changed.stderr


def test_a_backup_verifies_and_takes_the_place_of_those_of_last_month(cluster: Cluster) -> None:
    kept = cluster.root / "kept"
    old, unfinished = kept / "log-20200101T000000Z.jsonl", kept / "log-20200102T000000Z.jsonl.part"
    for file in (old, unfinished):
        file.touch()
        os.utime(file, (0, 0))
    container = main_container("backup")
    done = cluster.run("backup", *container["command"], *container["args"])
    assert done.returncode == 0, done.stderr
    [backup] = kept.glob("log-*")
    checked = ("--export", f"/kept/{backup.name}", "--key", "/identity/signing/signing.pub")
    verified = cluster.run("backup", "ratchet", "log", "verify", *checked)
    assert verified.returncode == 0, verified.stderr


def test_a_backup_that_does_not_verify_is_none(cluster: Cluster, tmp_path: Path) -> None:
    kept = cluster.root / "kept"
    before = set(kept.glob("log-*.jsonl"))
    other = tmp_path / "other"
    write_public(tmp_path / "other.pub", public_bytes(create_private(other)))
    container = main_container("backup")
    script = [word.replace("/identity/signing/signing.pub", str(tmp_path / "other.pub")) for word in container["args"]]
    done = cluster.run("backup", *container["command"], *script)
    assert done.returncode == 7, done.stderr
    assert set(kept.glob("log-*.jsonl")) == before
