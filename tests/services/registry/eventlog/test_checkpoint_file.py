"""The file of checkpoints: the log can't be cut off or replaced between two starts without the registry seeing it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.errors import CorruptData, PreconditionFailed
from ratchet.transparency import checkpoints, merkle
from ratchet.transparency.checkpoint_files import read_checkpoints
from ratchet.transparency.keys import origin_of
from services.registry.eventlog import Log
from services.registry.eventlog.checkpoint_file import CheckpointFile
from services.registry.eventlog.checkpoints import Signer
from services.registry.eventlog.sqlite import SQLiteDatabase
from tests.support.log_samples import append, fact, make_log

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))

MORE = b"\x78\x01"  # a field that no envelope has


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints.txt"


@pytest.fixture
def start(tmp_path: Path, file: Path) -> Callable[[], Log]:
    """Opens the log of the test as a registry does."""

    def opened() -> Log:
        log = make_log(SQLiteDatabase(tmp_path / "log.sqlite"), tables=())
        try:
            log.sign_with(SIGNER, CheckpointFile(file))
        except BaseException:
            log.close()
            raise
        return log

    return opened


def write(log: Log, first: int, count: int) -> None:
    for number in range(first, first + count):
        log.commit(append(f"r{number}", fact(f"session/{number}", 1)))


def test_a_clean_stop_leaves_the_newest_checkpoint(start: Callable[[], Log], file: Path) -> None:
    log = start()
    write(log, 0, 7)
    newest = log.checkpoint()
    log.close()
    found = read_checkpoints(file)
    assert found[-1] == newest
    assert newest is not None
    assert newest.size == 8
    assert [each.size for each in found] == sorted({each.size for each in found})
    assert all(checkpoints.verify(each, SIGNER.public_key) for each in found)


def test_the_file_only_grows(start: Callable[[], Log], file: Path) -> None:
    before = b""
    for round_ in range(3):
        log = start()
        write(log, round_ * 5, 5)
        log.close()
        assert file.read_bytes().startswith(before)
        assert len(file.read_bytes()) > len(before)
        before = file.read_bytes()


def test_starting_and_stopping_alone_adds_nothing(start: Callable[[], Log], file: Path) -> None:
    start().close()
    before = file.read_bytes()
    start().close()
    assert file.read_bytes() == before


def test_an_older_copy_of_the_log_is_refused(start: Callable[[], Log], tmp_path: Path, file: Path) -> None:
    start().close()
    shutil.copy(tmp_path / "log.sqlite", tmp_path / "older")
    log = start()
    write(log, 0, 3)
    log.close()
    shutil.copy(tmp_path / "older", tmp_path / "log.sqlite")
    with pytest.raises(CorruptData, match=f"truncated or replaced: it ends at position 1, but {file} remembers .* 4"):
        start()
    file.rename(tmp_path / "moved-away")
    start().close()


def test_a_log_of_the_same_length_but_other_events_is_refused(
    start: Callable[[], Log], tmp_path: Path, file: Path
) -> None:
    for name in ("first", "second"):
        log = start()
        log.commit(append("r1", fact(f"session/{name}", 1)))
        log.close()
        (tmp_path / "log.sqlite").rename(tmp_path / name)
        file.rename(tmp_path / f"{name}.jsonl")
    (tmp_path / "first").rename(tmp_path / "log.sqlite")
    (tmp_path / "second.jsonl").rename(file)
    with pytest.raises(CorruptData, match="first 2 events do not have the root"):
        start()


def test_a_deleted_tail_is_refused(start: Callable[[], Log], tmp_path: Path) -> None:
    log = start()
    write(log, 0, 3)
    log.close()
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        database.execute("DELETE FROM stored_events WHERE position > 2")
        database.execute("DELETE FROM checkpoints WHERE size > 2")
    with pytest.raises(CorruptData, match="ends at position 2"):
        start()


@pytest.mark.parametrize("forged", [False, True], ids=["checkpoint deleted", "checkpoint forged"])
def test_a_log_changed_without_its_key_is_not_signed_on(
    start: Callable[[], Log], tmp_path: Path, file: Path, forged: bool
) -> None:
    """Events and nodes that agree do not help who could not sign them, even where no checkpoint is remembered."""
    log = start()
    write(log, 0, 2)
    log.close()
    file.unlink()
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        [position, stream, version, topic, state] = database.execute(
            "SELECT position, originator_id, originator_version, topic, state FROM stored_events WHERE position = 3"
        ).fetchone()
        node = merkle.leaf_hash(merkle.canonical_leaf(position, stream, version, topic, state + MORE))
        [[other]] = database.execute("SELECT hash FROM merkle_nodes WHERE level = 1 AND idx = 0").fetchall()
        database.execute("UPDATE stored_events SET state = ? WHERE position = 3", (state + MORE,))
        database.execute("UPDATE merkle_nodes SET hash = ? WHERE level = 0 AND idx = 2", (node,))
        database.execute("DELETE FROM checkpoints WHERE size = 3")
        if forged:
            stranger = Signer(Ed25519PrivateKey.generate())
            origin, root = origin_of(SIGNER.public_key), merkle.node_hash(other, node)
            note = checkpoints.sign(stranger.private_key, origin, 3, root, 1, SIGNER.public_key).note
            database.execute("INSERT INTO checkpoints VALUES (3, ?)", (note,))
    with pytest.raises(CorruptData, match="position 3, is not what its key signed last"):
        start()


def test_a_last_event_that_can_not_be_read_is_corrupt_data(start: Callable[[], Log], tmp_path: Path) -> None:
    log = start()
    write(log, 0, 2)
    log.close()
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        database.execute("UPDATE stored_events SET state = x'ff' WHERE position = 3")
    with pytest.raises(CorruptData, match="position 3 is damaged"):
        start()


def test_a_note_that_a_crash_left_unfinished_is_dropped(start: Callable[[], Log], file: Path) -> None:
    start().close()
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:140])
    log = start()
    write(log, 0, 1)
    log.close()
    assert [each.size for each in read_checkpoints(file)] == [1, 2]


def test_text_that_is_no_checkpoint_is_refused(start: Callable[[], Log], file: Path) -> None:
    start().close()
    file.write_text("junk\n")
    with pytest.raises(CorruptData, match="the note is no checkpoint"):
        start()


def test_a_file_that_can_not_be_read_is_refused(start: Callable[[], Log], file: Path) -> None:
    file.mkdir()
    with pytest.raises(PreconditionFailed, match="can't be read: Is a directory"):
        start()


def test_a_file_that_can_not_be_written_is_an_error_in_the_log_and_no_failed_commit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = make_log(SQLiteDatabase(tmp_path / "log.sqlite"), tables=())
    log.sign_with(SIGNER, CheckpointFile(tmp_path / "no-folder" / "checkpoints.txt"))
    write(log, 0, 2)
    assert log.head().position == 3
    log.close()
    assert "nothing outside the database remembers" in caplog.text
