"""Whether what a service needs is there: asked in the background, every few seconds, with a bound on each answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from ratchet.errors import RatchetError

EVERY_SECONDS = 2.0
AGAIN_SECONDS = 0.5
"""Between the questions to what is not there."""
PATIENCE_SECONDS = 3.0
FIRST_SECONDS = 1.0
"""How long a start waits for all checks to pass, so that a service that is well says so from its first answer on."""

log = logging.getLogger("ratchet.client.health")


@dataclass(frozen=True)
class Check:
    """`ask` returns when `name` is there; it raises, or hangs, when it is not."""

    name: str
    ask: Callable[[], None]


class Checks:
    """Asks each check in a thread of its own. `tell` gets what is wrong, in words by the check's name, at each change;
    nothing is wrong in {}."""

    def __init__(
        self,
        checks: Sequence[Check],
        tell: Callable[[Mapping[str, str]], None],
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._checks, self._tell, self._around = tuple(checks), tell, around
        self._changed = threading.Condition()
        self._wrong = {check.name: "it has not answered yet" for check in checks}
        self._asked: dict[str, float] = {}
        self._told: dict[str, str] | None = None
        self._closing = threading.Event()

    def start(self) -> None:
        """Returns when all have passed, after FIRST_SECONDS at most; by then `tell` has been told."""
        for check in self._checks:
            threading.Thread(target=self._ask, args=(check,), name=f"check-{check.name}", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: not self._wrong, FIRST_SECONDS if self._checks else 0)
        self._report()
        threading.Thread(target=self._watch, name="checks", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def _ask(self, check: Check) -> None:
        with self._around():
            while not self._closing.is_set():
                with self._changed:
                    self._asked[check.name] = time.monotonic()
                wrong = _wrong(check)
                self._answered(check.name, wrong)
                self._closing.wait(AGAIN_SECONDS if wrong else EVERY_SECONDS)

    def _answered(self, name: str, wrong: str) -> None:
        with self._changed:
            self._asked.pop(name)
            if wrong:
                self._wrong[name] = wrong
            else:
                self._wrong.pop(name, None)
            self._changed.notify_all()

    def _watch(self) -> None:
        while not self._closing.is_set():
            with self._changed:
                self._changed.wait(PATIENCE_SECONDS / 4)
                late = time.monotonic() - PATIENCE_SECONDS
                for name, asked in self._asked.items():
                    if asked < late:
                        self._wrong[name] = f"it did not answer within {PATIENCE_SECONDS:.0f} s"
            self._report()

    def _report(self) -> None:
        with self._changed:
            wrong = dict(self._wrong)
        if wrong == self._told:
            return
        before, self._told = self._told or {}, wrong
        for name in wrong.keys() - before.keys():
            log.warning("not serving, because of the %s: %s", name, wrong[name])
        for name in before.keys() - wrong.keys():
            log.info("the %s answers again", name)
        self._tell(wrong)


def _wrong(check: Check) -> str:
    try:
        check.ask()
    except RatchetError as error:
        return error.message
    except Exception as error:
        log.debug("the check of the %s failed", check.name, exc_info=True)
        return f"{type(error).__name__}; the log of the service says more at RATCHET_LOG_LEVEL=debug"
    return ""
