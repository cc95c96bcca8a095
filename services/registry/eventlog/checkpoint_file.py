"""Checkpoints outside the database: an append-only file of notes.

A truncation or replacement of the database does not change this file; the registry compares both at its start. A
checkpoint is written at start and stop, and after commits, at most one a second.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from ratchet.errors import CorruptData, InvalidInput, PreconditionFailed
from ratchet.transparency.checkpoint_files import append_checkpoint, last_checkpoint
from ratchet.transparency.checkpoints import Checkpoint
from services.registry.eventlog.database import Reader
from services.registry.eventlog.reading import frontier, head_position

NAME = "checkpoints.txt"
PAUSE_SECONDS = 1.0

log = logging.getLogger("ratchet.checkpoints")


class CheckpointFile:
    """`note` the newest checkpoint as often as needed; a background thread writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._pending: Checkpoint | None = None
        self._noted_size = 0
        self._closed = False
        self._thread = threading.Thread(target=self._write_loop, name="checkpoints", daemon=True)

    def check(self, reader: Reader) -> None:
        """CorruptData unless the log is a continuation of the last written checkpoint."""
        checkpoint = self._read_last()
        if checkpoint is None:
            return
        self._noted_size = checkpoint.size
        position = head_position(reader)
        if position < checkpoint.size:
            raise CorruptData(
                f"the log was truncated or replaced: it ends at position {position}, but {self._path} remembers a"
                f" checkpoint of size {checkpoint.size}; {self._advice}"
            )
        if frontier(reader, checkpoint.size).root() != checkpoint.root:
            raise CorruptData(
                f"the log was replaced or changed: its first {checkpoint.size} events do not have the root that"
                f" {self._path} remembers; {self._advice}"
            )

    @property
    def _advice(self) -> str:
        return f"restore the log, or move {self._path} away if that is meant"

    def start(self) -> None:
        self._thread.start()

    def note(self, checkpoint: Checkpoint) -> None:
        """Schedules a write, superseded by a newer checkpoint; a written checkpoint is not written again."""
        with self._changed:
            if checkpoint.size > self._noted_size:
                self._pending, self._noted_size = checkpoint, checkpoint.size
                self._changed.notify_all()

    def close(self) -> None:
        """Writes the pending checkpoint, and ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _write_loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending is not None or self._closed)
                checkpoint, self._pending = self._pending, None
            if checkpoint is not None:
                self._append(checkpoint)
            with self._changed:
                if self._changed.wait_for(lambda: self._closed, PAUSE_SECONDS) and self._pending is None:
                    return

    def _append(self, checkpoint: Checkpoint) -> None:
        try:
            append_checkpoint(self._path, checkpoint)
        except OSError as error:
            log.error(
                "the checkpoint of size %d can't be written to %s (%s): until it can, nothing outside the database"
                " remembers the log; give this user the file and its folder",
                checkpoint.size,
                self._path,
                error.strerror,
            )

    def _read_last(self) -> Checkpoint | None:
        """The last checkpoint; a torn one after a crash is cut off."""
        try:
            return last_checkpoint(self._path)
        except OSError as error:
            raise PreconditionFailed(
                f"the checkpoints remembered in {self._path} can't be read: {error.strerror}; give this user the file"
            ) from error
        except InvalidInput as error:
            raise CorruptData(error.message) from error
