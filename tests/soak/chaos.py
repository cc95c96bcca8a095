"""What goes wrong meanwhile: services and workers killed, restarted and paused, at moments drawn from a seed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict

import psutil

from ratchet.client.services import SERVICES
from services.local.supervisor import MAX_QUICK_EXITS, QUICK_SECONDS
from tests.support.running import Running

FIRST_SECONDS = 5.0
CALM_SECONDS = (1.0, 5.0)
PAUSE_SECONDS = (0.5, 4.0)
KINDS = ("kill", "kill", "restart", "pause", "worker")


class Chaos(threading.Thread):
    """Until it is stopped. `done` counts by kind and victim; `memory`: the most MiB seen of each service, workers not
    counted."""

    def __init__(self, services: Running, seed: int) -> None:
        super().__init__(name="chaos", daemon=True)
        self._services = services
        self._chance = random.Random(f"{seed} chaos")
        self._stopping = threading.Event()
        self._ended: dict[str, list[float]] = defaultdict(list)
        self.done: Counter[tuple[str, str]] = Counter()
        self.memory: dict[str, float] = defaultdict(float)

    def run(self) -> None:
        pause = FIRST_SECONDS
        while not self._stopping.wait(pause):
            self._measure()
            self._strike(self._chance.choice(KINDS), self._chance.choice(tuple(SERVICES)))
            pause = self._chance.uniform(*CALM_SECONDS)

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _measure(self) -> None:
        for service, pid in self._services.supervisor.pids().items():
            with contextlib.suppress(psutil.Error):
                resident = psutil.Process(pid).memory_info().rss / 2**20
                self.memory[service] = max(self.memory[service], resident)

    def _strike(self, kind: str, service: str) -> None:
        pid = self._services.supervisor.pids().get(service)
        if kind == "worker":
            service, pid = "worker", self._worker()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if kind == "pause":
                os.kill(pid, signal.SIGSTOP)
                self._stopping.wait(self._chance.uniform(*PAUSE_SECONDS))
                os.kill(pid, signal.SIGCONT)
            elif kind == "worker":
                os.kill(pid, signal.SIGKILL)
            elif self._may_end(service):
                os.kill(pid, signal.SIGKILL if kind == "kill" else signal.SIGTERM)
            else:
                return
            self.done[kind, service] += 1

    def _may_end(self, service: str) -> bool:
        """Whether the supervisor would not take it for a service that can't live at all."""
        ended, now = self._ended[service], time.monotonic()
        if len(ended) >= MAX_QUICK_EXITS - 2 and now - ended[-(MAX_QUICK_EXITS - 2)] < 4 * QUICK_SECONDS:
            return False
        ended.append(now)
        return True

    def _worker(self) -> int | None:
        with contextlib.suppress(psutil.Error, KeyError):
            trainer = psutil.Process(self._services.supervisor.pids()["trainer"])
            if children := sorted(child.pid for child in trainer.children(recursive=True)):
                return self._chance.choice(children)
        return None
