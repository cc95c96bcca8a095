"""How long a store is waited for: what passes by itself is tried again, with growing pauses and an end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Patience:
    """Times in seconds. A try waits `connect` for a connection and `read` for each next byte; the pause after the first
    is between half of `pause` and `pause`, and doubles; there are `tries`, and none begins `total` after the first."""

    connect: float = 3.0
    read: float = 30.0
    tries: int = 5
    pause: float = 0.2
    total: float = 60.0

    def __call__(self, act: Callable[[], Answer], passes: Callable[[Exception], bool]) -> Answer:
        """What `act` answers at last; otherwise its last error, or the first that does not pass by itself.

        Pauses are random so that many who were refused at once do not return at once.
        """
        end = time.monotonic() + self.total
        for left in range(self.tries - 1, -1, -1):
            try:
                return act()
            except Exception as error:
                pause = self.pause * 2 ** (self.tries - 1 - left) * random.uniform(0.5, 1.0)
                if not left or not passes(error) or time.monotonic() + pause > end:
                    raise
            time.sleep(pause)
        raise AssertionError("a try ends in an answer or an error")


PATIENCE: Final = Patience()
