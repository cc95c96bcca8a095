"""Files of checkpoints: notes one after another, oldest first, append-only.

Each note begins with the line of its origin, and no other line does; so a file needs no separators. A crash may leave a
torn note at the end: readers leave it out, and the next writer cuts it off.
"""

from __future__ import annotations

import errno
import os
import re
from itertools import pairwise
from pathlib import Path

from ratchet.errors import InvalidInput, NotFound
from ratchet.transparency.checkpoints import MAX_NOTE, Checkpoint, is_beginning

_START = re.compile(rb"^ratchet\.log/", re.MULTILINE)
_TAIL = 2 * MAX_NOTE
"""Bytes at the end of a file that hold its last whole note and a torn one."""


def split_notes(data: bytes) -> tuple[list[bytes], int]:
    """The notes in `data`, which begins with one, and the number of bytes of a torn note after them."""
    end = data.rfind(b"\n") + 1
    starts = [found.start() for found in _START.finditer(data, 0, end)]
    if end and starts[:1] != [0]:
        starts.insert(0, 0)
    notes = [data[start:stop] for start, stop in pairwise([*starts, end])]
    if notes and is_beginning(notes[-1].decode(errors="replace")):
        end -= len(notes.pop())
    return notes, len(data) - end


def read_checkpoints(path: Path) -> list[Checkpoint]:
    """The checkpoints of a file, oldest first; signatures are not verified, and a torn note is left out.

    NotFound without the file, InvalidInput for a malformed note.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(
            f"the checkpoints {path} can't be read: {error.strerror}; name a file of remembered checkpoints"
        ) from error
    notes, _ = split_notes(data)
    return [_parse(note, f"{path}, checkpoint {number}") for number, note in enumerate(notes, 1)]


def last_checkpoint(path: Path) -> Checkpoint | None:
    """The last checkpoint of a file, None without one; a torn note after it is cut off.

    OSError; InvalidInput for a malformed note.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            data = file.read()
    except FileNotFoundError:
        return None
    if size > _TAIL and (start := _START.search(data, 1)):
        data = data[start.start() :]
    notes, torn = split_notes(data)
    if torn:
        os.truncate(path, size - torn)
    return _parse(notes[-1], f"{path}, the last checkpoint") if notes else None


def append_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Appends a note, all or nothing, in one write: processes that share the file do not mix their notes. OSError."""
    note = checkpoint.note.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if (written := os.write(descriptor, note)) < len(note):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _parse(note: bytes, place: str) -> Checkpoint:
    try:
        return Checkpoint.parse(note.decode())
    except (UnicodeDecodeError, InvalidInput) as error:
        reason = error.message if isinstance(error, InvalidInput) else str(error)
        raise InvalidInput(f"{place}: {reason}; restore the file, or move it away") from error
