"""Files of checkpoints: a torn note costs no other one, and nothing else passes for a torn note."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput, NotFound
from ratchet.transparency import checkpoint_files, checkpoints
from ratchet.transparency.checkpoint_files import append_checkpoint, last_checkpoint, read_checkpoints, split_notes
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import origin_of, public_bytes

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = origin_of(public_bytes(KEY))
KNOWN = [checkpoints.sign(KEY, ORIGIN, size, bytes([size]) * 32, 1_700_000_000) for size in (3, 7, 9)]
WITNESSED = Checkpoint.parse(KNOWN[1].note + "— w.example/ζ AAAAAAAA\n")
FILE = b"".join(each.note.encode() for each in KNOWN)


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    assert last_checkpoint(file) is None
    for number, each in enumerate(KNOWN, 1):
        append_checkpoint(file, each)
        assert last_checkpoint(file) == each
        assert read_checkpoints(file) == KNOWN[:number]
    assert file.read_bytes() == FILE
    (tmp_path / "empty").touch()
    assert read_checkpoints(tmp_path / "empty") == []
    assert last_checkpoint(tmp_path / "empty") is None


def test_further_signatures_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    for each in (WITNESSED, KNOWN[2], WITNESSED):
        append_checkpoint(file, each)
    assert read_checkpoints(file) == [WITNESSED, KNOWN[2], WITNESSED]
    assert last_checkpoint(file) == WITNESSED


def test_a_note_torn_at_any_byte_is_left_out_and_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    for length in range(len(FILE)):
        file.write_bytes(FILE[:length])
        whole = length // (len(FILE) // len(KNOWN))
        assert read_checkpoints(file) == KNOWN[:whole], length
        assert file.stat().st_size == length
        assert last_checkpoint(file) == (KNOWN[whole - 1] if whole else None), length
        assert file.read_bytes() == b"".join(each.note.encode() for each in KNOWN[:whole]), length


@given(st.integers(1, len(WITNESSED.note.encode()) - len(KNOWN[1].note.encode())))
def test_a_torn_further_signature_is_cut_off_alone(cut: int) -> None:
    """A note is a checkpoint as soon as the log has signed it."""
    notes, torn = split_notes(WITNESSED.note.encode()[:-cut])
    assert notes == [KNOWN[1].note.encode()]
    assert torn == len(WITNESSED.note.encode()) - len(KNOWN[1].note.encode()) - cut


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"size": 1}\n', "checkpoint 1: .*line 1, the origin"),
        (b"\n" + FILE, "checkpoint 1: .*line 1, the origin"),
        (FILE + b"text\n", "checkpoint 3: .*line 7"),
        (FILE + b"\n", "checkpoint 3: .*line 7"),
        (FILE.replace(b"\n7\n", b"\n07\n"), "checkpoint 2: .*line 2, the size"),
        (KNOWN[0].note.encode()[:200] + b"\n" + FILE, "checkpoint 1: .*line 5, the signature"),
        (KNOWN[0].note.encode()[:30] + FILE, "checkpoint 1: .*line 2, the size"),
        (FILE + b"ratchet.log/0123456789abcdef\n1\nroot\n", "checkpoint 4: .*line 3, the root"),
        (FILE + "— w.example/".encode() + b"\xff AAAAAAAA\n", "checkpoint 3: .*utf-8"),
    ],
)
def test_a_malformed_note_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    file = tmp_path / "checkpoints.txt"
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match=rf"{file}, {reason}.*restore the file"):
        read_checkpoints(file)
    assert file.read_bytes() == data


@pytest.mark.parametrize("data", [b"junk\n", FILE + b"text\n", FILE + b"ratchet.log/0\n"])
def test_a_malformed_end_is_refused_and_left_as_it_is(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "checkpoints.txt"
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match="the last checkpoint: "):
        last_checkpoint(file)
    assert file.read_bytes() == data


def test_of_a_long_file_only_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "checkpoints.txt"
    for tail in range(len(KNOWN[2].note.encode()) * 2, len(FILE) + 1, 7):
        monkeypatch.setattr(checkpoint_files, "_TAIL", tail)
        for torn in (b"", KNOWN[0].note.encode()[:100]):
            file.write_bytes(FILE + torn)
            assert last_checkpoint(file) == KNOWN[2]
            assert file.read_bytes() == FILE


def test_a_note_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "checkpoints.txt"
    append_checkpoint(file, KNOWN[0])
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:100]))
    with pytest.raises(OSError, match="No space left"):
        append_checkpoint(file, KNOWN[1])
    assert file.read_bytes() == KNOWN[0].note.encode()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none can't be read"):
        read_checkpoints(tmp_path / "none")
