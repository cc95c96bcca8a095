"""Signed heads outside the database: a file of JSON lines that is only ever appended to.

Who cuts off or replaces the database does not thereby change this file; the registry compares both when it starts. A
line is written when the registry starts and stops, and after commits, at most one a second.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path

from ratchet.errors import CorruptData, InvalidInput, PreconditionFailed
from ratchet.transparency.checkpoints import Checkpoint
from services.registry.eventlog.database import Reader
from services.registry.eventlog.reading import frontier, head_position

NAME = "heads.jsonl"
PAUSE_SECONDS = 1.0

_TAIL = 64 * 1024

log = logging.getLogger("ratchet.heads")


class CheckpointFile:
    """`note` the newest head as often as wished; a thread of its own writes it down."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._due: Checkpoint | None = None
        self._noted = 0
        self._closed = False
        self._thread = threading.Thread(target=self._write_on, name="heads", daemon=True)

    def check(self, reader: Reader) -> None:
        """CorruptData unless the log is a continuation of the last head that was written down."""
        head = self._last()
        if head is None:
            return
        self._noted = head.size
        position = head_position(reader)
        if position < head.size:
            raise CorruptData(
                f"the log was truncated or replaced: it ends at position {position}, but {self._path} remembers a head"
                f" of size {head.size}; {self._advice}"
            )
        if frontier(reader, head.size).root() != head.root:
            raise CorruptData(
                f"the log was replaced or changed: its first {head.size} events do not have the root that"
                f" {self._path} remembers; {self._advice}"
            )

    @property
    def _advice(self) -> str:
        return f"restore the log, or move {self._path} away if that is meant"

    def start(self) -> None:
        self._thread.start()

    def note(self, head: Checkpoint) -> None:
        """Have it written soon, unless a newer one comes before; what is written down already is not written again."""
        with self._changed:
            if head.size > self._noted:
                self._due, self._noted = head, head.size
                self._changed.notify_all()

    def close(self) -> None:
        """Write what is due, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due is not None or self._closed)
                head, self._due = self._due, None
            if head is not None:
                self._append(head)
            with self._changed:
                if self._changed.wait_for(lambda: self._closed, PAUSE_SECONDS) and self._due is None:
                    return

    def _append(self, head: Checkpoint) -> None:
        """One write, so that processes that share the file do not mix their lines."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                line = (head.to_line() + "\n").encode()
                if (written := os.write(descriptor, line)) < len(line):
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(descriptor)
        except OSError as error:
            log.error(
                "the head of size %d can't be written to %s (%s): until it can, nothing outside the database remembers"
                " the log; give this user the file and its folder",
                head.size,
                self._path,
                error.strerror,
            )

    def _last(self) -> Checkpoint | None:
        """The head on the last line; what a crash left unfinished behind it is cut off."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                whole, end, rest = file.read().rpartition(b"\n")
            if rest:
                os.truncate(self._path, size - len(rest))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PreconditionFailed(
                f"the heads remembered in {self._path} can't be read: {error.strerror}; give this user the file"
            ) from error
        if not end:
            return None
        try:
            return Checkpoint.from_line(whole.rpartition(b"\n")[2].decode(errors="replace"))
        except InvalidInput as error:
            raise CorruptData(f"{self._path}: {error.message}; {self._advice}") from error
