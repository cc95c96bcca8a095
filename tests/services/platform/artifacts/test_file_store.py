"""What files promise beyond the contract: kills, full disks, forbidden and impossible folders."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ratchet.errors import NotAllowed, Unreachable
from services.platform.artifacts.file_store import FileStore

WRITER = """
import sys
from pathlib import Path
from services.platform.artifacts.file_store import FileStore
store = FileStore(Path(sys.argv[1]))
for number in range(1_000_000):
    print(store.put(str(number).encode() * 20_000), flush=True)
"""
LIMITED_WRITER = """
import resource, sys
from pathlib import Path
from ratchet.errors import LimitReached
from services.platform.artifacts.file_store import FileStore
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    FileStore(Path(sys.argv[1])).put(bytes(100_000))
except LimitReached as error:
    print(error.message)
"""


def artifact(root: Path, digest: str) -> Path:
    return root / digest[:2] / digest[2:]


def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_damaged(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            acknowledged = [writer.stdout.readline().decode().strip() for _ in range(5)]
            time.sleep(0.01)
            writer.kill()
            acknowledged += writer.stdout.read().decode().split("\n")[:-1]
        store = FileStore(tmp_path)
        assert set(acknowledged) <= set(store.digests())
        for digest in store.digests():
            store.get(digest)


def test_leftovers_of_a_kill_are_no_artifacts(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = store.put(b"content")
    artifact(tmp_path, digest).with_name(".left.tmp").write_bytes(b"con")
    assert list(store.digests()) == [digest]
    assert store.put(b"content") == digest


def test_a_put_leaves_only_the_artifact_and_it_is_read_only(tmp_path: Path) -> None:
    digest = FileStore(tmp_path).put(b"content")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [artifact(tmp_path, digest)]
    assert artifact(tmp_path, digest).stat().st_mode & 0o777 == 0o444


def test_a_full_disk_is_a_limit_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED_WRITER, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert tmp_path.as_uri() in done.stdout
    assert "free some space" in done.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_is_a_file_is_unreachable(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    root.write_bytes(b"")
    store = FileStore(root)
    for use in (lambda: store.put(b"content"), lambda: list(store.digests())):
        with pytest.raises(Unreachable, match=root.as_uri()):
            use()


def test_a_forbidden_folder_says_who_lacks_what(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("nothing is forbidden to root")
    with pytest.raises(NotAllowed, match="right to write"):
        FileStore(tmp_path).put(b"content")


def test_putting_the_same_again_makes_it_new(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = store.put(b"wanted again")
    os.utime(tmp_path / digest[:2] / digest[2:], (0, 0))
    assert store.written_at(digest).year == 1970
    store.put(b"wanted again")
    assert store.written_at(digest).year > 2000
