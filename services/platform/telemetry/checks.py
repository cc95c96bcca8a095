"""Health checks of a service's dependencies: run in the background every few seconds, each with a timeout."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from ratchet.errors import RatchetError

INTERVAL_SECONDS = 2.0
RETRY_SECONDS = 0.5
"""Interval between checks of a failing dependency."""
TIMEOUT_SECONDS = 3.0
STARTUP_SECONDS = 1.0
"""Longest wait of a start for all checks to pass, so that a healthy service is ready from its first answer on."""

log = logging.getLogger("ratchet.health")


@dataclass(frozen=True)
class Check:
    """`ask` returns while the dependency `name` is available; it raises or hangs otherwise."""

    name: str
    ask: Callable[[], None]


class HealthChecks:
    """Runs each check in a thread of its own.

    `on_change` gets the failing checks by name, with the reason, at each change; {} when all pass.
    """

    def __init__(
        self,
        checks: Sequence[Check],
        on_change: Callable[[Mapping[str, str]], None],
        context: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._checks, self._on_change, self._context = tuple(checks), on_change, context
        self._changed = threading.Condition()
        self._failing = {check.name: "it has not answered yet" for check in checks}
        self._started: dict[str, float] = {}
        self._reported: dict[str, str] | None = None
        self._closing = threading.Event()

    def start(self) -> None:
        """Returns when all checks have passed, after STARTUP_SECONDS at most, and after the first `on_change`."""
        for check in self._checks:
            threading.Thread(target=self._ask, args=(check,), name=f"check-{check.name}", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: not self._failing, STARTUP_SECONDS if self._checks else 0)
        self._report()
        threading.Thread(target=self._watch, name="checks", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def _ask(self, check: Check) -> None:
        with self._context():
            while not self._closing.is_set():
                with self._changed:
                    self._started[check.name] = time.monotonic()
                failure = _failure(check)
                self._finish(check.name, failure)
                self._closing.wait(RETRY_SECONDS if failure else INTERVAL_SECONDS)

    def _finish(self, name: str, failure: str) -> None:
        with self._changed:
            self._started.pop(name)
            if failure:
                self._failing[name] = failure
            else:
                self._failing.pop(name, None)
            self._changed.notify_all()

    def _watch(self) -> None:
        while not self._closing.is_set():
            with self._changed:
                self._changed.wait(TIMEOUT_SECONDS / 4)
                late = time.monotonic() - TIMEOUT_SECONDS
                for name, started in self._started.items():
                    if started < late:
                        self._failing[name] = f"it did not answer within {TIMEOUT_SECONDS:.0f} s"
            self._report()

    def _report(self) -> None:
        with self._changed:
            failing = dict(self._failing)
        if failing == self._reported:
            return
        before, self._reported = self._reported or {}, failing
        for name in failing.keys() - before.keys():
            log.warning("not serving, because of the %s: %s", name, failing[name])
        for name in before.keys() - failing.keys():
            log.info("the %s answers again", name)
        self._on_change(failing)


def _failure(check: Check) -> str:
    try:
        check.ask()
    except RatchetError as error:
        return error.message
    except Exception as error:
        log.debug("the check of the %s failed", check.name, exc_info=True)
        return f"{type(error).__name__}; the log of the service says more at RATCHET_LOG_LEVEL=debug"
    return ""
