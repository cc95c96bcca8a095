"""What survives: a killed process, a full disk, a file that is no database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratchet.errors import CorruptData, InvalidInput, LimitReached, PreconditionFailed, Unreachable
from services.registry.eventlog import open_log
from services.registry.eventlog.sqlite import SQLiteDatabase
from tests.support.log_samples import STREAMS, append, assert_sound, everything, fact, make_log

ROOT = Path(__file__).parents[4]


def start_writer(url: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.log_writer", url, str(number)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_killed_writers_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.sqlite'}"
    acknowledged: dict[str, tuple[int, int]] = {}
    for run in range(2):
        writers = [start_writer(url, 2 * run + other) for other in range(2)]
        outputs = [process.stdout for process in writers if process.stdout]
        lines = [output.readline() for output in outputs for _ in range(60 + 37 * run)]
        for process in writers:
            process.kill()
        lines += [line for output in outputs for line in output.readlines()]
        for process in writers:
            process.wait()
        for line in lines:
            if line.endswith("\n"):
                name, first, second = line.split()
                acknowledged[name] = (int(first), int(second))
    log = open_log(url, [STREAMS], lambda: datetime.now(UTC))
    stored = {event.position: event.stream for event in assert_sound(log)}
    for name, positions in acknowledged.items():
        assert [stored[position] for position in positions] == [f"session/{name}"] * 2
    assert len(acknowledged) >= 2 * (60 + 97)
    assert all(table.identical for table in log.rebuild())
    assert log.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    log.close()


def test_a_full_disk_refuses_cleanly_and_reads_go_on(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "log.sqlite")
    log = make_log(database)
    log.commit(append("r1", fact("session/1", 1)))
    [pages] = log.query("PRAGMA page_count")
    with database.write() as writer:
        list(writer.rows(f"PRAGMA max_page_count = {pages['page_count'] + 2}"))
    large = append("r2", fact("session/1", 2, lineage="x" * 100_000))
    for _ in range(2):
        with pytest.raises(LimitReached, match="free disk space"):
            log.commit(large)
    assert [recorded.position for recorded in everything(log)] == [1]
    assert log.commit(append("r3", fact("session/2", 1))).positions == (2,)
    with database.write() as writer:
        list(writer.rows("PRAGMA max_page_count = 100000"))
    assert log.commit(large).positions == (3,)
    assert_sound(log)
    log.close()


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM stored_events WHERE position = 3",
        "DELETE FROM merkle_nodes WHERE level = 1",
    ],
)
def test_a_log_that_was_cut_is_not_written_on(tmp_path: Path, tampering: str) -> None:
    make_log(SQLiteDatabase(tmp_path / "log.sqlite")).commit(append("r1", *[fact("s", v) for v in (1, 2, 3)]))
    database = SQLiteDatabase(tmp_path / "log.sqlite")
    log = make_log(database)
    with database.write() as writer:
        writer.execute(tampering)
    before = everything(log)
    with pytest.raises(CorruptData, match="restore"):
        log.commit(append("r2", fact("other", 1)))
    assert everything(log) == before
    log.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"not a database at all, but text" * 200)
    with pytest.raises(CorruptData, match="not a database"):
        open_log(f"sqlite:///{tmp_path / 'log.sqlite'}", [], lambda: datetime.now(UTC))


def test_a_page_that_is_damaged_is_said(tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite"
    log = make_log(SQLiteDatabase(file))
    log.commit(append("r1", *[fact("session/1", version) for version in range(1, 200)]))
    log.close()
    [page] = sqlite3.connect(file).execute("SELECT rootpage FROM sqlite_master WHERE name = 'stored_events'").fetchone()
    content = bytearray(file.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    file.write_bytes(content)
    with pytest.raises(CorruptData, match="the file is damaged: restore it from a backup"):
        everything(make_log(SQLiteDatabase(file)))


def test_a_file_that_can_not_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").mkdir()
    with pytest.raises(Unreachable, match="check the path and the rights to it"):
        SQLiteDatabase(tmp_path / "log.sqlite")


def test_a_database_that_another_process_holds_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.registry.eventlog.sqlite.BUSY_SECONDS", 0.1)
    database = SQLiteDatabase(tmp_path / "log.sqlite")
    with closing(sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = pytest.raises(Unreachable, match=r"another process has held it for .*: stop it, or try again")
        with refused, database.write():
            pass
    database.close()


def test_what_is_being_read_is_not_taken_away(tmp_path: Path) -> None:
    log = make_log(SQLiteDatabase(tmp_path / "log.sqlite"))
    log.commit(append("r1", *[fact("session/1", version) for version in (1, 2)]))
    with log.database.write() as writer:
        rows = writer.rows("SELECT position FROM stored_events")
        assert next(rows) == {"position": 1}
        with pytest.raises(Unreachable, match="another connection holds it: try again"):
            writer.execute("DROP TABLE stored_events")
    log.close()


FAILING_DISK = """
import resource, signal, sys
from tests.support.log_samples import append, fact, everything, make_log
from ratchet.errors import Unreachable
from services.registry.eventlog.sqlite import SQLiteDatabase
log = make_log(SQLiteDatabase(__import__("pathlib").Path(sys.argv[1])))
log.commit(append("r1", fact("session/1", 1)))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    log.commit(append("r2", fact("session/1", 2)))
except Unreachable as error:
    print(len(everything(log)), error.message)
"""


def test_a_disk_that_fails_is_said_and_reads_go_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING_DISK, str(tmp_path / "log.sqlite")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("1 ")
    assert "the disk does not answer as it should: check it and send the request again" in done.stdout


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match="folder"):
        open_log(f"sqlite:///{tmp_path / 'file' / 'log.sqlite'}", [], lambda: datetime.now(UTC))


def test_the_folder_is_made_and_a_log_opens_in_many_threads_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'folder' / 'log.sqlite'}"
    with ThreadPoolExecutor(8) as pool:
        logs = list(pool.map(lambda _: open_log(url, [STREAMS], lambda: datetime.now(UTC)), range(8)))
    for number, log in enumerate(logs):
        log.commit(append(f"r{number}", fact(f"session/{number}", 1)))
    assert len(assert_sound(logs[0])) == 8
    for log in logs:
        log.close()


def test_every_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "log.sqlite")
    with database.write() as writer:
        assert list(writer.rows("PRAGMA synchronous")) == [{"synchronous": 2}]
        assert list(writer.rows("PRAGMA journal_mode")) == [{"journal_mode": "wal"}]
    database.close()


def test_closing_waits_for_who_reads_and_lets_nobody_in(tmp_path: Path) -> None:
    log = make_log(SQLiteDatabase(tmp_path / "log.sqlite"))
    log.commit(append("r1", fact("session/1", 1)))
    with ThreadPoolExecutor(1) as pool:
        with log.database.read() as reader:
            closing = pool.submit(log.close)
            assert wait([closing], timeout=0.2).not_done == {closing}
            assert len(list(reader.rows("SELECT * FROM stored_events"))) == 1
        closing.result(30)
    for use in (log.head, log.rebuild, lambda: everything(log), lambda: log.commit(append("r2", fact("s", 1)))):
        with pytest.raises(Unreachable, match="closed"):
            use()


@pytest.mark.parametrize("url", ["", "sqlite:log", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://host/log"])
def test_what_is_no_url_of_a_log_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        open_log(url, [], lambda: datetime.now(UTC))


def test_without_psycopg_a_log_in_postgresql_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("psycopg", "services.registry.eventlog.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PreconditionFailed, match=r"needs psycopg, .* pip install 'ratchet-models-server\[postgres\]'"):
        open_log("postgresql://host/log", [], lambda: datetime.now(UTC))


@pytest.mark.parametrize("url", ["postgres://ann:sesame@host/log", "postgresql://ann:ses%ame@host/log"])
def test_a_url_that_is_refused_is_not_shown_with_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="postgresql://user@host:5432/database") as refused:
        open_log(url, [], lambda: datetime.now(UTC))
    assert "ses" not in "".join(traceback.format_exception(refused.value))
