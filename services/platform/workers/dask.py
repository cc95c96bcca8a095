"""A Dask cluster as workers: sessions wait in its scheduler's queue, so that a cluster that grows is used at once.

Dask runs a task again elsewhere when its worker dies, and gives it up after `distributed.scheduler.allowed-failures`
deaths. A lost scheduler loses its tasks: `run` raises Unreachable, and a repeated `run` connects to the next scheduler.
TLS is Dask's own: `distributed.comm` in its configuration.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

import asyncio
import logging
import queue
import threading
import uuid
from collections.abc import Awaitable, Callable, Sequence
from concurrent import futures
from concurrent.futures import CancelledError
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import dask
from distributed import Client, Future
from distributed.client import ClosedClientError, VersionsDict
from distributed.protocol.pickle import dumps, loads
from distributed.scheduler import KilledWorker

from ratchet.errors import InvalidInput, Unreachable, WorkerLost
from services.platform.workers import POLL_SECONDS, QUEUED, Job, Report, Result
from services.platform.workers.dask_worker import PACKAGES, TOPIC, TrainingProcesses, installed, require_same, task

log = logging.getLogger("ratchet.trainer")

AT_ONCE, MOST_AT_ONCE = 32, 1024
CONNECT_SECONDS = 5.0
_CLOSED = (CancelledError, ClosedClientError, OSError, RuntimeError)
"""Errors of a Dask client without a connection or an event loop."""

_Outcome = futures.Future[tuple[bytes | None, BaseException | None]]
_News = queue.SimpleQueue[tuple[str, float] | None]


class DaskWorkers:
    """At most `count` pieces of work are at the cluster; those beyond its threads wait there for one."""

    def __init__(self, address: str, at_once: int = AT_ONCE, preload: Sequence[str] = ()) -> None:
        self.count = self.sessions = at_once
        self._address = address
        self._preload = preload
        self._lock = threading.Lock()
        self._closed = False
        self._connection: _Connection | None = None
        # Inputs go with their task: what is scattered, as Dask advises from 10 MiB on, is lost with its worker.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
        try:
            self._connected()
        except Unreachable as error:
            log.warning("%s; sessions wait for it", error.message)

    @classmethod
    def at(cls, url: str, preload: Sequence[str] = ()) -> DaskWorkers:
        """`dask://host:port`, or `dask://host:port?at_once=N`; PreconditionFailed for a cluster of other versions."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        at_once = options.pop("at_once", str(AT_ONCE))
        right = parts.scheme == "dask" and _has_port(parts.netloc) and not parts.path and not options
        if not right or not at_once.isdecimal() or not 1 <= int(at_once) <= MOST_AT_ONCE:
            raise InvalidInput(
                f"RATCHET_WORKERS={url!r} is not dask://host:port of a Dask scheduler, such as dask://127.0.0.1:8786,"
                f" with at most ?at_once=N behind it, N from 1 to {MOST_AT_ONCE}"
            )
        return cls(parts.netloc, int(at_once), preload)

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        """See Workers.run. Unreachable if the scheduler does not answer, or is lost before the result."""
        connection = self._connected()
        news: _News = queue.SimpleQueue()
        future, outcome = connection.submit(dumps((work, job)), news)
        try:
            latest: tuple[str, float] | None = QUEUED
            while latest is not None and not connection.closed:
                if self._closed:
                    raise _stopping()
                report(*latest)
                latest = _next(news, latest)
            result: Result = loads(self._packed(outcome))
            return result
        finally:
            connection.forget(future)

    def _packed(self, outcome: _Outcome) -> bytes:
        """The result of a finished task; raises the exception of the task, or the reason for the missing result."""
        lost: BaseException | None = None
        try:
            packed, error = outcome.result(timeout=0)
        except _CLOSED as cause:
            packed, error, lost = None, None, cause
        if packed is not None:
            return packed
        if isinstance(error, KilledWorker):
            raise WorkerLost(
                f"{error.allowed_failures + 1} Dask workers died one after the other while they trained this session"
                " (killed, or out of memory); nothing was recorded: look at their logs, then start the training again"
            ) from error
        if error is not None:
            raise error
        if self._closed:
            raise _stopping() from lost
        raise Unreachable(
            f"the Dask scheduler at {self._address} went away in the middle of the work; it is run again when a"
            " scheduler answers there"
        ) from lost

    def _connected(self) -> _Connection:
        """The connection in use, or a new one if its scheduler is gone; one thread at a time connects."""
        known = self._connection
        if known is not None and known.usable:
            return known
        if not self._lock.acquire(blocking=False):
            raise Unreachable(f"the connection to the Dask scheduler at {self._address} is being made; ask again")
        try:
            if self._closed:
                raise _stopping()
            if self._connection is None or self._connection is known:
                if known is not None:
                    known.close()
                self._connection = _Connection(self._address, self._preload)
            return self._connection
        finally:
            self._lock.release()

    def close(self) -> None:
        """Ends all work, here and on the cluster."""
        self._closed = True
        with self._lock:
            if self._connection is not None:
                self._connection.close()


class _Connection:
    """A client of one scheduler, with the training processes on its workers and the listeners to its tasks."""

    def __init__(self, address: str, preload: Sequence[str]) -> None:
        self._address = address
        self._listeners: dict[str, _News] = {}
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="ratchet-trainer")
        except (OSError, ValueError) as error:
            raise Unreachable(
                f"no Dask scheduler answers at {address} ({error}); start it, or correct RATCHET_WORKERS"
            ) from error
        try:
            self._scheduler = self._identity()
            versions = cast(VersionsDict, self._client.get_versions(packages=list(PACKAGES)))
            for worker, found in versions["workers"].items():
                require_same(installed(), found["packages"], worker)
            self._client.register_plugin(TrainingProcesses(preload))
            self._client.subscribe_topic(TOPIC, self._hear)
        except BaseException as error:
            self._client.close()
            if isinstance(error, OSError):
                raise Unreachable(f"the Dask scheduler at {address} went away ({error})") from error
            raise

    @property
    def usable(self) -> bool:
        """Whether the scheduler is the one that this client connected to: another one lacks plugin and topic.

        Unreachable while Dask itself reconnects.
        """
        if self._client.status == "connecting":
            raise Unreachable(f"the Dask scheduler at {self._address} went away; it is looked for")
        return self._client.status == "running" and self._identity() == self._scheduler

    @property
    def closed(self) -> bool:
        return bool(self._client.status == "closed")

    def submit(self, payload: bytes, news: _News) -> tuple[Future[bytes], _Outcome]:
        """Submits the task: its Dask future, and its outcome. `news` gets its progress, and None when it is done.

        The outcome is awaited on the client's event loop: Dask's own blocking calls may never return when their client
        is closed meanwhile.
        """
        key = f"ratchet-{uuid.uuid4().hex}"
        self._listeners[key] = news
        try:
            future: Future[bytes] = self._client.submit(task, payload, installed(), key=key, pure=False)
            loop: asyncio.AbstractEventLoop = cast(Any, self._client.loop).asyncio_loop
            outcome = asyncio.run_coroutine_threadsafe(_outcome(future), loop)
        except _CLOSED as error:
            del self._listeners[key]
            raise Unreachable(f"the connection to the Dask scheduler at {self._address} was closed") from error
        outcome.add_done_callback(lambda _: news.put(None))
        return future, outcome

    def forget(self, future: Future[bytes]) -> None:
        """Cancels the task if it runs, and frees its result."""
        del self._listeners[str(future.key)]
        future.release()

    def close(self) -> None:
        self._client.close()

    def _identity(self) -> str:
        return str(self._client.scheduler_info(n_workers=0).get("id"))

    def _hear(self, event: tuple[float, Sequence[str | float]]) -> None:
        key, phase, fraction = event[1]
        news = self._listeners.get(str(key))
        if news is not None:
            news.put((str(phase), float(fraction)))


async def _outcome(future: Future[bytes]) -> tuple[bytes | None, BaseException | None]:
    """Result and exception of the task, one of them None; both for a cancelled task."""
    error = await cast(Awaitable[BaseException | None], future.exception())
    if error is not None or future.cancelled():
        return None, error
    return await cast(Awaitable[bytes], future.result()), None


def _next(news: _News, latest: tuple[str, float]) -> tuple[str, float] | None:
    """The next progress, or the latest again after POLL_SECONDS without any; None at the end."""
    try:
        return news.get(timeout=POLL_SECONDS)
    except queue.Empty:
        return latest


def _has_port(place: str) -> bool:
    try:
        parts = urlsplit(f"//{place}")
        return bool(parts.hostname) and bool(parts.port) and "@" not in place
    except ValueError:
        return False


def _stopping() -> WorkerLost:
    return WorkerLost("the service stops: no job is begun any more; ask again")
