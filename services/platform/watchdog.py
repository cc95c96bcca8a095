"""Something to be done when time is up, unless what it is about ends before."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(order=True)
class _Watched:
    end: float
    number: int
    act: Callable[[], object] | None = field(compare=False)


class Watchdog:
    """One thread for any number of bounds; it is started with the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: list[_Watched] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._ended = 0
        self._wakes = math.inf

    @contextmanager
    def within(self, seconds: float, act: Callable[[], object]) -> Iterator[None]:
        """`act` is called, in the watchdog's thread, where the block has not ended after `seconds`."""
        watched = _Watched(time.monotonic() + seconds, next(self._numbers), act)
        with self._changed:
            heapq.heappush(self._watched, watched)
            if watched.end < self._wakes:
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                watched.act = None
                self._ended += 1
                if self._ended > len(self._watched) // 2:
                    self._forget()

    def _forget(self) -> None:
        """What has ended does not stay until its time is up."""
        self._watched = [watched for watched in self._watched if watched.act is not None]
        heapq.heapify(self._watched)
        self._ended = 0

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._watched or self._watched[0].end > time.monotonic():
                    self._wakes = self._watched[0].end if self._watched else math.inf
                    self._changed.wait(self._wakes - time.monotonic() if self._watched else None)
                act = heapq.heappop(self._watched).act
            if act is not None:
                act()
