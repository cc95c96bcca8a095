"""Reads that belong together: what is decided from several of them is decided from one state of the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from services.registry.log.database import Database, Reader, Writer


class Snapshots:
    """A Database, `inner`, whose reads by a thread within `snapshot` are one transaction: cheaper, too."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self._here = threading.local()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What this thread reads until the end is the log as it is now."""
        with self._inner.read() as reader:
            self._here.reader = reader
            try:
                yield
            finally:
                del self._here.reader

    @contextmanager
    def read(self) -> Iterator[Reader]:
        held: Reader | None = getattr(self._here, "reader", None)
        if held is not None:
            yield held
            return
        with self._inner.read() as reader:
            yield reader

    def write(self) -> AbstractContextManager[Writer]:
        return self._inner.write()

    def rebuilding(self, *, wait: bool) -> AbstractContextManager[None]:
        return self._inner.rebuilding(wait=wait)

    def listen(self, wake: Callable[[], None]) -> None:
        self._inner.listen(wake)

    def close(self) -> None:
        self._inner.close()
