"""The commands of docs/backup.md run as printed: what was copied while it was served is restored, and verifies."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from services.local import ports
from services.platform.artifacts import open_store
from services.platform.settings import Settings
from services.registry.bootstrap import open_signed_log
from tests.support.audited_log import Auditee, write_history
from tests.support.running import ROOT

COPY, COPY_BY_PYTHON, RESTORE, _, _, EXPORT, IMPORT, NEWEST = (
    block.replace("$ ", "").replace("KEY", ".ratchet/signing.key")
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs/backup.md").read_text(), re.DOTALL)
)
PROGRAMS = """
# The registry is all that these commands need of `ratchet up`; and whoever has no sqlite3 has Python.
# What is served ends with this shell, however that ends.
export RATCHET_PARENT=$$
ratchet() {
    if [ "$1" = up ]; then
        command ratchet serve registry "${@:2}" --port "$PORT" 2> log-of-it &
        until command ratchet health registry 2> /dev/null; do sleep 0.1; done
    else command ratchet "$@"; fi
}
sqlite3() { python -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])' "$@"; }
stop() { kill %1; wait %1; }
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with a home that has a history."""
    settings = Settings.load("registry", tmp_path / ".ratchet", "127.0.0.1", 0, {})
    settings.home.mkdir()
    log = open_signed_log(settings)
    write_history(Auditee(log, open_store(settings.artifacts)))
    log.close()
    (tmp_path / "backup").mkdir()
    return tmp_path


def typed(folder: Path, *lines: str) -> str:
    """What these lines print in one shell, which ends at the first failure."""
    port = str(ports.choose(0)[0])
    environment = {"PORT": port, "RATCHET_REGISTRY": f"127.0.0.1:{port}"}
    environment["PATH"] = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(("set -euo pipefail", PROGRAMS, *lines))],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_copy_made_as_documented_is_restored_and_verifies(written: Path) -> None:
    """By SQLite itself: what was written last does not lie in the file that `cp` would copy."""
    assert all("VACUUM INTO 'backup/log.sqlite'" in copy for copy in (COPY, COPY_BY_PYTHON))
    typed(written, "ratchet up", COPY, "rm backup/log.sqlite", COPY_BY_PYTHON, "stop")
    said = typed(written, RESTORE, NEWEST, "stop")
    assert said.count("verified") >= 2, said


@pytest.mark.slow
def test_an_export_made_as_documented_verifies_and_becomes_a_log_again(written: Path) -> None:
    typed(written, "ratchet up", EXPORT, "cp -r .ratchet/artifacts backup/", "stop")
    said = typed(written, IMPORT, "cp .ratchet/signing.key restored/", "ratchet up --home restored", NEWEST, "stop")
    assert "verified" in said
