"""Watchdog timer: calls a function when a block of code exceeds its time."""

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
class _Deadline:
    end: float
    number: int
    on_timeout: Callable[[], object] | None = field(compare=False)


class Watchdog:
    """One thread for any number of deadlines, started with the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: list[_Deadline] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._ended = 0
        self._wakes_at = math.inf

    @contextmanager
    def within(self, seconds: float, on_timeout: Callable[[], object]) -> Iterator[None]:
        """Calls `on_timeout`, in the watchdog's thread, unless the block ends within `seconds`."""
        deadline = _Deadline(time.monotonic() + seconds, next(self._numbers), on_timeout)
        with self._changed:
            heapq.heappush(self._deadlines, deadline)
            if deadline.end < self._wakes_at:
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                deadline.on_timeout = None
                self._ended += 1
                if self._ended > len(self._deadlines) // 2:
                    self._drop_ended()

    def _drop_ended(self) -> None:
        """Removes ended entries, so that they do not stay until their deadline."""
        self._deadlines = [deadline for deadline in self._deadlines if deadline.on_timeout is not None]
        heapq.heapify(self._deadlines)
        self._ended = 0

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._deadlines or self._deadlines[0].end > time.monotonic():
                    self._wakes_at = self._deadlines[0].end if self._deadlines else math.inf
                    self._changed.wait(self._wakes_at - time.monotonic() if self._deadlines else None)
                on_timeout = heapq.heappop(self._deadlines).on_timeout
            if on_timeout is not None:
                on_timeout()
