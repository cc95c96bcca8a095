"""ratchet log prove, --remember and ratchet log key, on a real registry and on one that lies."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ratchet.client import Client
from ratchet.transparency.checkpoint_files import append_checkpoint, read_checkpoints
from ratchet.transparency.checkpoints import Checkpoint, sign, verify
from ratchet.transparency.keys import (
    create_private,
    load_trusted,
    origin_of,
    parse_vkey,
    public_bytes,
    vkey,
    write_public,
)
from services.platform.settings import Settings
from services.registry import bootstrap
from tests.support.datasets import dataset

Run = Callable[..., Any]


def register(address: str, first: int, count: int) -> None:
    with Client(address, actor="ann@desk") as client:
        for number in range(first, first + count):
            client.register_dataset(dataset("AAPL", f"{number:064x}"))


@contextmanager
def registry(home: Path) -> Iterator[str]:
    server, closers = bootstrap.build(Settings.load("registry", home, "127.0.0.1", 0, {}))
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0)
    for close in closers:
        close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a registry with a key and five data sets; nothing is running."""
    monkeypatch.delenv("RATCHET_SIGNING_KEY", raising=False)
    made = tmp_path / "home"
    made.mkdir()
    with registry(made) as address:
        register(address, 0, 5)
    return made


@pytest.fixture
def at(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """at(address, "log", "prove", …): the command against the registry there, with the key of `home`."""

    def call(address: str, *words: str) -> Any:
        monkeypatch.setenv("RATCHET_REGISTRY", address)
        return run(*words, "--home", str(home))

    return call


def tampered(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "log.sqlite")) as database, database:
        database.execute(statement)


def test_an_event_is_proven_in_words_and_as_json(home: Path, at: Run) -> None:
    with registry(home) as address:
        told = at(address, "log", "prove", "3")
        assert told.code == 0
        assert "position 3: DatasetRegistered" in told.out
        assert "among the first 6 events" in told.out
        found = json.loads(at(address, "log", "prove", "3", "-o", "json").out)
    key = load_trusted(home / "signing.pub").id
    assert (found["verified"], found["position"], found["size"], found["key_id"]) == (True, 3, 6, key)
    assert len(found["hashes"]) == 3


def test_an_older_tree_is_proven_through_the_newest_checkpoint(home: Path, at: Run) -> None:
    with registry(home) as address:
        found = json.loads(at(address, "log", "prove", "2", "--size", "3", "-o", "json").out)
        assert (found["size"], found["signed_size"]) == (3, 6)
        assert "beginning of 6 events" in at(address, "log", "prove", "2", "--size", "3").out


def test_a_position_that_is_not_there_is_a_usage_error(home: Path, at: Run) -> None:
    with registry(home) as address:
        found = at(address, "log", "prove", "7")
        assert (found.code, "use 1 to 6" in found.err) == (2, True)
        assert at(address, "log", "prove", "0").code == 2
        assert at(address, "log", "prove", "2", "--size", "7").code == 2


def test_another_key_than_the_logs_does_not_verify(home: Path, at: Run, tmp_path: Path) -> None:
    write_public(tmp_path / "other.pub", public_bytes(create_private(tmp_path / "other")))
    with registry(home) as address:
        assert at(address, "log", "prove", "3", "--key", str(home / "signing.pub")).code == 0
        found = at(address, "log", "prove", "3", "--key", str(tmp_path / "other.pub"))
        assert (found.code, "is not signed by the key" in found.err) == (7, True)
        assert at(address, "log", "prove", "3", "--key", str(tmp_path / "none")).code == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stored_events SET state = state || x'00' WHERE position = 3",
        "UPDATE stored_events SET originator_version = 9 WHERE position = 3",
        "UPDATE merkle_nodes SET hash = zeroblob(32) WHERE level = 0 AND idx = 3",
        "UPDATE checkpoints SET note = replace(note, 'A', 'B') WHERE size = 6",
        "UPDATE checkpoints SET note = replace(note, char(10) || '6' || char(10), char(10) || '5' || char(10))",
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 5) WHERE size = 6",
        "UPDATE checkpoints SET note = CAST(note AS BLOB) WHERE size = 6",
        "UPDATE checkpoints SET note = '' WHERE size = 6",
        "DELETE FROM checkpoints WHERE size = 6",
    ],
)
def test_what_was_changed_in_the_database_does_not_verify(home: Path, at: Run, statement: str) -> None:
    with registry(home) as address:
        tampered(home, statement)
        found = at(address, "log", "prove", "3")
    assert found.code == 7
    assert found.out == ""


def test_what_is_remembered_must_be_continued(home: Path, at: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "checkpoints.txt"
    with registry(home) as address:
        assert "Nothing was remembered before" in at(address, "log", "prove", "3", "--remember", str(kept)).out
        assert at(address, "log", "prove", "3", "--remember", str(kept)).code == 0
        register(address, 5, 2)
        found = at(address, "log", "prove", "3", "--remember", str(kept))
        assert "continues the checkpoint of size 6" in found.out
    assert [each.size for each in read_checkpoints(kept)] == [6, 8]


def test_an_older_copy_of_the_log_is_found_by_who_remembers(home: Path, at: Run, tmp_path: Path) -> None:
    kept, copy = tmp_path / "kept.txt", tmp_path / "copy"
    shutil.copytree(home, copy)
    with registry(home) as address:
        register(address, 5, 2)
        at(address, "log", "prove", "3", "--remember", str(kept))
    with registry(copy) as address:
        found = at(address, "log", "prove", "3", "--remember", str(kept))
        assert (found.code, "has 6 events, but a checkpoint of size 8" in found.err) == (7, True)
        register(address, 7, 3)
        found = at(address, "log", "prove", "3", "--remember", str(kept))
        assert (found.code, "no continuation of the remembered checkpoint of size 8" in found.err) == (7, True)
    assert [each.size for each in read_checkpoints(kept)] == [8]


def test_a_torn_note_of_a_remembered_file_costs_nothing(home: Path, at: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    with registry(home) as address:
        at(address, "log", "prove", "3", "--remember", str(kept))
        kept.write_bytes(kept.read_bytes() + kept.read_bytes()[:100])
        register(address, 5, 2)
        assert at(address, "log", "prove", "3", "--remember", str(kept)).code == 0
    assert [each.size for each in read_checkpoints(kept)] == [6, 8]


def test_a_checkpoint_of_another_log_is_not_continued(home: Path, at: Run, tmp_path: Path) -> None:
    kept, key = tmp_path / "kept.txt", create_private(tmp_path / "other")
    other = sign(key, origin_of(public_bytes(key)), 2, bytes(32), 1_700_000_000)
    append_checkpoint(kept, other)
    with registry(home) as address:
        found = at(address, "log", "prove", "3", "--remember", str(kept))
    assert (found.code, f"a checkpoint of {other.origin} is remembered" in found.err) == (7, True)


def test_the_keys_are_shown_with_since_when(home: Path, at: Run) -> None:
    with registry(home) as address:
        [found] = json.loads(at(address, "log", "key", "show", "-o", "json").out)
        shown = at(address, "log", "key", "show").out
    assert found["key_id"] in shown
    assert found["vkey"] in shown
    assert (found["since_position"], found["replaces"]) == (1, "")
    assert parse_vkey(found["vkey"]).public_key == load_trusted(home / "signing.pub").public_key


def test_a_vkey_is_named_in_place_of_a_file(home: Path, at: Run) -> None:
    public_key = load_trusted(home / "signing.pub").public_key
    other = vkey("ratchet.log/0123456789abcdef", public_key)
    with registry(home) as address:
        [found] = json.loads(at(address, "log", "key", "show", "-o", "json").out)
        assert at(address, "log", "prove", "3", "--key", found["vkey"]).code == 0
        wrong = at(address, "log", "prove", "3", "--key", other)
        assert (wrong.code, "is one of ratchet.log/0123456789abcdef" in wrong.err) == (7, True)
        assert at(address, "log", "prove", "3", "--key", found["vkey"][:-1]).code == 3


def test_the_checkpoint_of_a_proof_is_a_note_that_anyone_verifies(home: Path, at: Run) -> None:
    with registry(home) as address:
        found = json.loads(at(address, "log", "prove", "3", "-o", "json").out)
    checkpoint = Checkpoint.parse(found["checkpoint"])
    assert verify(checkpoint, load_trusted(home / "signing.pub").public_key)
    assert (checkpoint.size, checkpoint.root.hex()) == (found["signed_size"], found["signed_root"])
    assert found["signed_at"] == checkpoint.signed_at.isoformat().replace("+00:00", "Z")


def test_a_key_is_made_and_takes_over_from_the_one_before(home: Path, at: Run, run: Run, tmp_path: Path) -> None:
    new, kept = tmp_path / "new.key", tmp_path / "kept.txt"
    with registry(home) as address:
        at(address, "log", "prove", "3", "--remember", str(kept))
    assert run("log", "key", "new", str(new)).code == 0
    assert run("log", "key", "new", str(new)).code == 4
    assert new.stat().st_mode & 0o777 == 0o600
    rotated = run("log", "key", "rotate", str(new), "--reason", "the yearly one", "--home", str(home))
    assert (rotated.code, "signs from position 7 on" in rotated.out) == (0, True)
    with registry(home) as address:
        first, second = json.loads(at(address, "log", "key", "show", "-o", "json").out)
        assert (second["since_position"], second["replaces"]) == (7, first["key_id"])
        assert second["reason"] == "the yearly one"
        found = json.loads(at(address, "log", "prove", "3", "--remember", str(kept), "-o", "json").out)
    assert (found["key_id"], found["remembered_size"]) == (second["key_id"], 6)
    assert second["key_id"] == load_trusted(new.with_name("new.key.pub")).id


def test_a_rotation_needs_a_reason_and_a_log(run: Run, tmp_path: Path) -> None:
    run("log", "key", "new", str(tmp_path / "new.key"))
    assert run("log", "key", "rotate", str(tmp_path / "new.key")).code == 2
    empty = run("log", "key", "rotate", str(tmp_path / "new.key"), "--reason", "r", "--home", str(tmp_path / "empty"))
    assert (empty.code, "start the registry" in empty.err) == (4, True)
