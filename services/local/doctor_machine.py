"""ratchet doctor, checks of this machine: Python, libraries, home folder, disk, artifacts, TLS files."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ratchet.cli.connect import command_line
from ratchet.client.credentials import TLS_VARIABLES, Tls
from ratchet.errors import NotFound, RatchetError
from services.local import object_store
from services.local.doctor_check import CheckResult, check_result

MIN_PYTHON = (3, 11)
TRAINER_LIBRARIES = ("sklearn", "skops", "pandas", "pyarrow", "talib", "optuna")
MIN_FREE = 1 << 30
"""Bytes; a log and its artifacts grow by some megabytes a session."""
RENEW_BEFORE = timedelta(days=14)
PROBE = b"ratchet doctor was here, and has tidied up"


def installation() -> Iterator[CheckResult]:
    version = sys.version_info[:2] >= MIN_PYTHON
    yield check_result("python", version, platform.python_version(), "install Python 3.11 or newer")
    missing = [name for name in TRAINER_LIBRARIES if importlib.util.find_spec(name) is None]
    found = f"missing: {', '.join(missing)}" if missing else "its libraries are installed"
    yield check_result("training", not missing, found, "pip install 'ratchet-models[server]'")


def folders(home: Path) -> Iterator[CheckResult]:
    """Checks that the home and, unless they are elsewhere, its artifacts are writable, and the free disk space."""
    in_store = (home / object_store.FOLDER / object_store.FILE).exists()
    for what, folder in (
        ("home", home),
        ("artifacts", home / (object_store.FOLDER if in_store else object_store.FILES)),
    ):
        if what == "artifacts" and os.environ.get("RATCHET_ARTIFACTS"):
            continue
        existing = _existing(folder)
        writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
        state = f"{folder} {'is there' if folder.exists() else 'will be made'}"
        found = state if writable else f"{existing} can't be written to"
        yield check_result(what, writable, found, f"sudo chown -R {os.getuid()} {shlex.quote(str(existing))}")
    free = shutil.disk_usage(_existing(home)).free
    room = f"{free / 2**30:.1f} GiB free where {home} is"
    yield check_result("disk", free >= MIN_FREE, room, f"du -xh --max-depth=2 {shlex.quote(str(_existing(home)))}")


def artifacts(url: str) -> CheckResult:
    """Checks the store of RATCHET_ARTIFACTS: puts, reads and removes an artifact; a store with retention, or without
    its bucket, is only read."""
    try:
        from services.platform.artifacts import open_store

        store = open_store(url)
        try:
            next(iter(store.digests()), None)
        except NotFound as error:
            return check_result("artifacts", True, f"{error.message.partition(';')[0]}: the first write makes it", "")
        if "retain=" in url:
            return check_result(
                "artifacts", True, f"{url} answers; what is put there is locked, so nothing was put", ""
            )
        if url.startswith("file:"):
            return check_result("artifacts", True, f"{url} answers", "")
        digest = store.put(PROBE)
        try:
            store.get(digest)
        finally:
            store.remove(digest)
        return check_result("artifacts", True, f"{url} takes, gives back and removes", "")
    except RatchetError as error:
        return check_result("artifacts", False, error.message, _inspect_command(url))


def _inspect_command(url: str) -> str:
    endpoint = url.partition("endpoint=")[2].partition("&")[0]
    if endpoint:
        return f"curl --silent --show-error --max-time 5 --output /dev/null {shlex.quote(endpoint)}"
    return f"ls -ld {shlex.quote(url.removeprefix('file://'))}"


def tls() -> Iterator[CheckResult]:
    """Checks the files of RATCHET_TLS_CERT, _KEY and _CA; empty if none is set, and `tls` for unusable ones."""
    renew = command_line(None, "certs", "--help")
    try:
        loaded = Tls.load()
    except RatchetError as error:
        yield check_result("tls", False, error.message.partition(";")[0], renew)
        return
    if loaded is None:
        return
    from cryptography.x509 import load_pem_x509_certificates

    for name, content in (("cert", loaded.cert), ("ca", loaded.ca)):
        ends = min(each.not_valid_after_utc for each in load_pem_x509_certificates(content))
        left = ends - datetime.now(UTC)
        found = f"{os.environ[TLS_VARIABLES[name]]} is in force until {ends:%Y-%m-%d}, {left.days} more days"
        yield check_result(f"tls {name}", left > RENEW_BEFORE, found, renew)


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
