"""The contents in memory, kept up to date by following the log. A restart reads it from the beginning."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ratchet.errors import DeadlinePassed, RatchetError, Unreachable
from services.knowledge.projection.state import PREFIXES, Contents, fold
from services.platform.facts import Fact
from services.platform.log_client import FactStream, LogClient

log = logging.getLogger("ratchet.knowledge")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


class Book:
    """What is known, for readers: `contents` is an immutable value, replaced as facts arrive."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._changed = threading.Condition()
        self._contents = Contents()
        self._complete = False
        self.cut_off = False
        """Whether the log does not answer at the moment; what was read of it is still answered."""

    @property
    def position(self) -> int:
        return self._contents.position

    def apply(self, batch: Sequence[tuple[int, Fact]], position: int) -> None:
        with self._changed:
            known = len(self._contents.unreadable)
            self._contents = fold(self._contents, batch, position)
            for at, reason in self._contents.unreadable[known:]:
                log.error("the fact at position %d is left out: %s", at, reason)
            self._changed.notify_all()

    def complete(self) -> None:
        """All that was in the log when the book was opened has been read: from now on it answers."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything: the log is another one."""
        with self._changed:
            self._contents, self._complete = Contents(), False

    def wait(self, min_position: int, seconds: float) -> Contents:
        """The contents, once they reflect the log up to `min_position`.

        Unreachable when the log has not been read once within `seconds`, or when the position does not come by then
        because the log does not answer; DeadlinePassed when it does not come although the log answers.
        """
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._complete and self.position >= min_position, seconds)
            if arrived:
                return self._contents
            if not self._complete:
                raise Unreachable(
                    f"knowledge has not read the log yet: {self._peer} does not answer, or not fast enough;"
                    " start it with ratchet up, or ratchet serve registry, and try again"
                )
            if self.cut_off:
                raise Unreachable(
                    f"knowledge reflects the log up to position {self.position}, and {self._peer} does not answer:"
                    f" position {min_position} comes when it is back; start it with ratchet up, or ratchet serve"
                    " registry, and try again"
                )
            raise DeadlinePassed(
                f"knowledge reflects the log up to position {self.position} and {min_position} did not come within"
                f" {seconds:.0f} s; ask again, or for a position that the log has"
            )


class Follower:
    """The thread that keeps a book up to date: it waits for the log, follows it and comes back to it."""

    def __init__(self, client: LogClient, book: Book) -> None:
        self._client, self._book = client, book
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._following: FactStream | None = None
        self._thread = threading.Thread(target=self._run, name="follow-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._stopping.set()
            if self._following is not None:
                self._following.cancel()
        self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            before = self._book.position
            try:
                head = self._client.head()
                log.info(
                    "reading the log of %s from position %d to %d", self._client.address, self._book.position, head
                )
                self._book.cut_off = False
                self._follow(head)
            except RatchetError as error:
                if not (self._book.cut_off or self._stopping.is_set()):
                    log.warning("waiting for %s: %s", self._client.peer, error)
                self._book.cut_off = True
            self._stopping.wait(pause)
            pause = min(LONGEST_PAUSE, 2 * pause) if self._book.position == before else FIRST_PAUSE

    def _follow(self, head: int) -> None:
        if head < self._book.position:
            log.warning("the log ends at %d, before what was read (%d): reading it anew", head, self._book.position)
            self._book.clear()
        with self._lock:
            if self._stopping.is_set():
                return
            self._following = self._client.follow(self._book.position, PREFIXES)
        if self._book.position < head:
            with _no_collecting():
                for batch, position in self._following:
                    self._book.apply(batch, position)
                    if position >= head:
                        break
        if self._book.position >= head:
            self._book.complete()
        for batch, position in self._following:
            self._book.apply(batch, position)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """While a long log is read, what is made is there to stay: the collector would walk it again and again, for a third
    of the time, and find nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
