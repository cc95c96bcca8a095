"""Retry policy of the artifact stores: transient errors are retried with exponential backoff, jitter and a deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter; times in seconds.

    `connect` and `read` are the timeouts of one attempt. The first pause is between half of `pause` and `pause`, and
    doubles. There are at most `tries` attempts, and none begins `total` after the first.
    """

    connect: float = 3.0
    read: float = 30.0
    tries: int = 5
    pause: float = 0.2
    total: float = 60.0

    def __call__(self, request: Callable[[], Result], is_transient: Callable[[Exception], bool]) -> Result:
        """Calls `request` until it succeeds; raises its last error, or its first error that is not transient.

        The jitter spreads the retries of clients that failed at the same moment.
        """
        end = time.monotonic() + self.total
        for left in range(self.tries - 1, -1, -1):
            try:
                return request()
            except Exception as error:
                pause = self.pause * 2 ** (self.tries - 1 - left) * random.uniform(0.5, 1.0)
                if not left or not is_transient(error) or time.monotonic() + pause > end:
                    raise
            time.sleep(pause)
        raise AssertionError("a try ends in an answer or an error")


DEFAULT_RETRY: Final = RetryPolicy()
