"""The projection in memory, kept up to date by following the log. A restart reads the log from the beginning."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ratchet.errors import DeadlinePassed, RatchetError, Unreachable
from services.knowledge.projection.state import PREFIXES, KnowledgeState, fold
from services.platform.facts import Fact
from services.platform.log_client import FactStream, LogClient

log = logging.getLogger("ratchet.knowledge")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


class KnowledgeProjection:
    """The projection for readers: its state is an immutable value, replaced as facts arrive."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._changed = threading.Condition()
        self._state = KnowledgeState()
        self._complete = False
        self.disconnected = False
        """Whether the log is unreachable at present; the projection still answers."""

    @property
    def position(self) -> int:
        return self._state.position

    def apply(self, batch: Sequence[tuple[int, Fact]], position: int) -> None:
        with self._changed:
            known = len(self._state.unreadable)
            self._state = fold(self._state, batch, position)
            for at, reason in self._state.unreadable[known:]:
                log.error("the fact at position %d is left out: %s", at, reason)
            self._changed.notify_all()

    def complete(self) -> None:
        """Marks the initial read of the log as complete: from now on the projection answers."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Drops the state, because the log is another one."""
        with self._changed:
            self._state, self._complete = KnowledgeState(), False

    def wait(self, min_position: int, seconds: float) -> KnowledgeState:
        """The state, once it reflects the log up to `min_position`.

        Unreachable if the log has not been read once within `seconds`, or if the position does not arrive because the
        log is unreachable; DeadlinePassed if it does not arrive although the log answers.
        """
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._complete and self.position >= min_position, seconds)
            if arrived:
                return self._state
            if not self._complete:
                raise Unreachable(
                    f"knowledge has not read the log yet: {self._peer} does not answer, or not fast enough;"
                    " start it with ratchet up, or ratchet serve registry, and try again"
                )
            if self.disconnected:
                raise Unreachable(
                    f"knowledge reflects the log up to position {self.position}, and {self._peer} does not answer:"
                    f" position {min_position} comes when it is back; start it with ratchet up, or ratchet serve"
                    " registry, and try again"
                )
            raise DeadlinePassed(
                f"knowledge reflects the log up to position {self.position} and {min_position} did not come within"
                f" {seconds:.0f} s; ask again, or for a position that the log has"
            )


class LogFollower:
    """The thread that keeps a projection up to date; it reconnects to the log."""

    def __init__(self, client: LogClient, projection: KnowledgeProjection) -> None:
        self._client, self._projection = client, projection
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._stream: FactStream | None = None
        self._thread = threading.Thread(target=self._run, name="follow-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._stopping.set()
            if self._stream is not None:
                self._stream.cancel()
        self._thread.join()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            before = self._projection.position
            try:
                head = self._client.head()
                log.info(
                    "reading the log of %s from position %d to %d",
                    self._client.address,
                    self._projection.position,
                    head,
                )
                self._projection.disconnected = False
                self._follow(head)
            except RatchetError as error:
                if not (self._projection.disconnected or self._stopping.is_set()):
                    log.warning("waiting for %s: %s", self._client.peer, error)
                self._projection.disconnected = True
            self._stopping.wait(pause)
            pause = min(LONGEST_PAUSE, 2 * pause) if self._projection.position == before else FIRST_PAUSE

    def _follow(self, head: int) -> None:
        if head < self._projection.position:
            log.warning(
                "the log ends at %d, before what was read (%d): reading it anew", head, self._projection.position
            )
            self._projection.clear()
        with self._lock:
            if self._stopping.is_set():
                return
            self._stream = self._client.follow(self._projection.position, PREFIXES)
        if self._projection.position < head:
            with _gc_disabled():
                for batch, position in self._stream:
                    self._projection.apply(batch, position)
                    if position >= head:
                        break
        if self._projection.position >= head:
            self._projection.complete()
        for batch, position in self._stream:
            self._projection.apply(batch, position)


@contextmanager
def _gc_disabled() -> Iterator[None]:
    """Disables garbage collection during a long read.

    The objects of a read all stay, and collections would take a third of its time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
