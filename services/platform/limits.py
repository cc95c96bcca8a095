"""Limits of a server, and the interceptor that reserves threads for ordinary calls."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ratchet.client.channel import MESSAGE_LIMIT
from ratchet.errors import Busy, InvalidInput
from services.platform.interceptors import Call
from services.platform.watchdog import Watchdog

PREFIX = "RATCHET_LIMIT_"

WATCH_METHODS = frozenset(
    {
        "/ratchet.eventlog.v1.EventLogService/Subscribe",
        "/ratchet.trainer.v1.TrainerService/WatchTraining",
        "/grpc.health.v1.Health/Watch",
    }
)
"""Streams of coming events: they last as long as their caller."""

SLOW_METHODS = frozenset(
    {
        "/ratchet.eventlog.v1.EventLogService/Read",
        "/ratchet.eventlog.v1.EventLogService/Export",
        "/ratchet.eventlog.v1.EventLogService/Verify",
        "/ratchet.eventlog.v1.EventLogService/Rebuild",
        "/ratchet.trainer.v1.TrainerService/ImportBars",
        "/ratchet.trainer.v1.TrainerService/ExportBars",
        "/ratchet.trainer.v1.TrainerService/ReproduceModel",
        "/ratchet.predictor.v1.PredictorService/Evaluate",
        "/ratchet.trainer.v1.TrainerService/EvaluateFresh",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)
"""Calls that end, but may take long: every other stream, and unary calls of seconds or minutes."""

ORDINARY_THREADS = 16
"""Threads that neither watch streams nor slow calls can take."""


@dataclass(frozen=True)
class Limits:
    """Each field is set by RATCHET_LIMIT_ and its name in capitals; docs/limits.md says what happens beyond it.

    message_bytes     of a request or an answer        metadata_bytes    of a call's metadata
    connections       to one server                    concurrent_calls  that run or wait for a thread, in one server
    watch_streams     open in one server               slow_calls        under way in one server
    call_seconds      a call that is no watch stream   upload_seconds    from the first piece of a file to its last
    stall_seconds     until a message arrives, or is   idle_seconds      a connection without a call
                      taken by its reader
    import_bytes      of one file of bars              import_rows       of one file of bars
    open_sessions     of one caller
    """

    message_bytes: int = MESSAGE_LIMIT
    metadata_bytes: int = 16 * 1024
    connections: int = 1000
    concurrent_calls: int = 256
    watch_streams: int = 16
    slow_calls: int = 16
    call_seconds: int = 900
    upload_seconds: int = 300
    stall_seconds: int = 60
    idle_seconds: int = 600
    import_bytes: int = 512 * 1024 * 1024
    import_rows: int = 5_000_000
    open_sessions: int = 50

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Limits:
        """Reads the environment; InvalidInput for an invalid value and for an unknown variable of this prefix."""
        names = {f"{PREFIX}{field.name.upper()}": field.name for field in dataclasses.fields(cls)}
        unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in names)
        if unknown:
            raise InvalidInput(f"{unknown[0]} is not a limit; choose among {', '.join(names)}, or unset it")
        return cls(**{field: _number(name, environ[name]) for name, field in names.items() if name in environ})

    @property
    def threads(self) -> int:
        return self.watch_streams + self.slow_calls + ORDINARY_THREADS

    def options(self) -> tuple[tuple[str, int], ...]:
        """The options of the gRPC server.

        Keepalive ends the calls of a vanished client: its connection is pinged after stall_seconds of silence, and has
        as long to answer.
        """
        return (
            ("grpc.max_receive_message_length", self.message_bytes),
            ("grpc.max_send_message_length", self.message_bytes),
            ("grpc.max_metadata_size", self.metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.metadata_bytes),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.server_handshake_timeout_ms", self.stall_seconds * 1000),
            ("grpc.max_connection_idle_ms", self.idle_seconds * 1000),
            ("grpc.keepalive_time_ms", self.stall_seconds * 1000),
            ("grpc.keepalive_timeout_ms", self.stall_seconds * 1000),
            ("grpc.http2.ping_timeout_ms", self.stall_seconds * 1000),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        )


DEFAULT_LIMITS = Limits()


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise InvalidInput(f"{name} is {text!r}, not a whole number from 1 to 999999999; correct it, or unset it")
    return int(text)


class ConcurrencyLimiter:
    """The interceptor that bounds watch streams and slow calls, and the duration of all calls but watch streams."""

    def __init__(self, limits: Limits, watchdog: Watchdog) -> None:
        self._limits, self._watchdog = limits, watchdog
        self._watches = threading.BoundedSemaphore(limits.watch_streams)
        self._slow = threading.BoundedSemaphore(limits.slow_calls)

    @contextmanager
    def __call__(self, call: Call) -> Iterator[None]:
        """Busy without a free slot.

        A call beyond its time is cancelled; long work checks for cancellation and stops.
        """
        limits = self._limits
        if call.method in WATCH_METHODS:
            with _slot(self._watches, f"{limits.watch_streams} watch streams are open", "watch_streams"):
                yield
            return
        with self._watchdog.within(limits.call_seconds, call.context.cancel):
            if call.method not in SLOW_METHODS:
                yield
                return
            with _slot(self._slow, f"{limits.slow_calls} calls that take long are under way", "slow_calls"):
                yield


@contextmanager
def _slot(slots: threading.BoundedSemaphore, full: str, field: str) -> Iterator[None]:
    if not slots.acquire(blocking=False):
        raise Busy(
            f"{full} at this service, and no more are served: end one, or try again"
            f" (the operator can raise {PREFIX}{field.upper()})"
        )
    try:
        yield
    finally:
        slots.release()
