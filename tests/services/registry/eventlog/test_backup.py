"""A copy that was made while the registry wrote is the log as it was then, and goes on as the log.

The commands are those of docs/backup.md.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratchet.errors import CorruptData, InvalidInput
from ratchet.eventlog.v1 import eventlog_pb2 as pb
from ratchet.transparency.checkpoints import Checkpoint
from services.platform.artifacts import open_store
from services.platform.settings import Settings
from services.registry.audit import Audit
from services.registry.bootstrap import open_signed_log
from services.registry.eventlog import Log
from services.registry.projections import TABLES
from tests.support.audited_log import Auditee, write_history
from tests.support.postgres import Postgres

DOCUMENT = (Path(__file__).parents[4] / "docs" / "backup.md").read_text(encoding="utf-8")


def vacuumed(postgres: Postgres, url: str, folder: Path) -> str:
    """Any Python copies an SQLite log with this; so does the program sqlite3."""
    source, copy = url.removeprefix("sqlite://"), folder / "copy.sqlite"
    code = f"""import sqlite3; sqlite3.connect("{source}").execute("VACUUM INTO '{copy}'")"""
    subprocess.run([sys.executable, "-c", code], check=True)
    return f"sqlite://{copy}"


def dumped(postgres: Postgres, url: str, folder: Path) -> str:
    restored = postgres.fresh()
    here = {
        "$RATCHET_LOG": url,
        "backup/log.dump": str(folder / "log.dump"),
        "postgresql://user@host/restored": restored,
    }
    for program in ("pg_dump", "pg_restore"):
        [line] = re.findall(rf"^\$ {program} (.*)$", DOCUMENT, re.MULTILINE)
        for documented, own in here.items():
            line = line.replace(documented, own)
        postgres.client(program, *shlex.split(line))
    return restored


COPYING: dict[str, Callable[[Postgres, str, Path], str]] = {"sqlite": vacuumed, "postgresql": dumped}


@dataclass(frozen=True)
class Copied:
    """The home of the copy, and what the original's registry knows: all its checkpoints, and the newest of all."""

    settings: Settings
    checkpoints: dict[int, Checkpoint]
    newest: Checkpoint


@contextmanager
def writing(auditee: Auditee) -> Iterator[None]:
    """Imports series without end meanwhile; at least ten before the block begins."""
    stop, begun = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            auditee.import_bars(f"S{number}")
            if number == 10:
                begun.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(write)
        try:
            assert begun.wait(30)
            yield
        finally:
            stop.set()
        running.result(30)


@pytest.fixture
def copied(log_url: str, tmp_path: Path, postgres: Postgres) -> Copied:
    original = Settings.load("registry", tmp_path / "original", "127.0.0.1", 0, {"RATCHET_LOG": log_url})
    original.home.mkdir()
    log = open_signed_log(original)
    auditee = Auditee(log, open_store(original.artifacts))
    write_history(auditee)
    with writing(auditee):
        url = COPYING[log_url.partition(":")[0]](postgres, log_url, tmp_path)
        # After the log: an artifact is there before any fact names it.
        shutil.copytree(original.home / "artifacts", tmp_path / "copy" / "artifacts")
    auditee.import_bars("LATER")
    checkpoints = {each.size: each for each in map(Checkpoint.parse, log.notes(1, 10_000))}
    newest = log.checkpoint()
    assert newest is not None
    log.close()
    settings = Settings.load("registry", tmp_path / "copy", "127.0.0.1", 0, {"RATCHET_LOG": url})
    shutil.copy(original.home / "signing.key", settings.home)
    return Copied(settings, checkpoints, newest)


def verified(log: Log, settings: Settings, *remembered: Checkpoint) -> pb.VerifyResponse:
    audit = Audit(log, TABLES, settings, clock=lambda: datetime.now(UTC))
    return audit(pb.VerifyRequest(remembered=[each.note for each in remembered]))


def test_a_copy_verifies_has_the_root_of_then_and_goes_on(copied: Copied) -> None:
    log = open_signed_log(copied.settings)
    head = log.head()
    assert 100 < head.position < copied.newest.size
    assert head.root == copied.checkpoints[head.position].root
    answer = verified(log, copied.settings)
    assert list(answer.findings) == []
    assert {each.what: each.count for each in answer.checked}["artifacts"] > 20
    Auditee(log, open_store(copied.settings.artifacts), first=100_000).import_bars("AFTER")
    assert log.head().position == head.position + 1
    assert verified(log, copied.settings, copied.checkpoints[head.position]).verified
    log.close()


def test_a_copy_that_is_older_than_what_was_seen_is_said_to_be(copied: Copied) -> None:
    log = open_signed_log(copied.settings)
    answer = verified(log, copied.settings, copied.newest)
    assert any("its end was cut off" in finding for finding in answer.findings)
    log.close()


def test_text_that_is_no_checkpoint_is_not_remembered(copied: Copied) -> None:
    log = open_signed_log(copied.settings)
    with pytest.raises(InvalidInput, match="the note is no checkpoint: line 1, the origin") as raised:
        Audit(log, TABLES, copied.settings, clock=lambda: datetime.now(UTC))(pb.VerifyRequest(remembered=["text\n"]))
    assert raised.value.fields == {"remembered": "no checkpoint"}
    log.close()


def test_a_registry_that_remembers_more_than_the_copy_has_does_not_start(copied: Copied, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "original" / "checkpoints.txt", copied.settings.home)
    with pytest.raises(CorruptData, match=r"truncated or replaced.*move .*checkpoints.txt away if that is meant"):
        open_signed_log(copied.settings)
