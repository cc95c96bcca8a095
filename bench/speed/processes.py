"""Real services and client processes to measure."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psutil

from ratchet.cli.health import is_serving
from services.local import ports
from services.local.supervisor import Supervisor

START_SECONDS = 120.0
MANY_SESSIONS = {"RATCHET_LIMIT_OPEN_SESSIONS": "1000"}


@dataclass(frozen=True)
class Service:
    """A service that runs, at host:port."""

    address: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def registry(home: Path) -> Iterator[Service]:
    """A registry process on a home, with its defaults: SQLite, durable."""
    with _served(["ratchet", "serve", "registry", "--home", str(home), "--port"], home, is_serving) as service:
        yield service


@contextmanager
def bare_grpc(folder: Path) -> Iterator[Service]:
    """A server whose one method does nothing; see bare_grpc.py."""
    with _served(["bench.speed.bare_grpc"], folder, _listens) as service:
        yield service


@contextmanager
def _served(command: Sequence[str], home: Path, answers: Callable[[str, float], bool]) -> Iterator[Service]:
    """A Python module as a process; the port ends its command line."""
    port = ports.choose(0)[0]
    address = f"127.0.0.1:{port}"
    command = [sys.executable, "-m", *command, str(port)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RATCHET_")} | MANY_SESSIONS
    with (home / "server.log").open("ab") as log, subprocess.Popen(command, stderr=log, env=environment) as process:
        try:
            _wait(process, lambda: answers(address, 1.0))
            yield Service(address, psutil.Process(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)


def _listens(address: str, seconds: float) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), seconds).close()
    except OSError:
        return False
    return True


def _wait(process: subprocess.Popen[bytes], answers: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not answers():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} does not answer")
        time.sleep(0.05)


@contextmanager
def all_services(home: Path) -> Iterator[Supervisor]:
    """The three services, as `ratchet up` starts them."""
    with Supervisor(home, ports.choose(0)) as supervisor:
        yield supervisor


Client = Callable[[int, Callable[[], object]], Any]
"""`client(number, ready)`: prepares, calls `ready`, which waits for the others, works, and answers something small."""


def together(count: int, client: Client, began: Callable[[], None]) -> list[Any]:
    """The answers of `count` client processes that begin at once; `began` is called here at that moment."""
    context = get_context("spawn")
    barrier, answers = context.Barrier(count + 1), context.SimpleQueue()
    processes = [context.Process(target=_client, args=(client, number, barrier, answers)) for number in range(count)]
    for process in processes:
        process.start()
    barrier.wait(START_SECONDS)
    began()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def _client(client: Client, number: int, barrier: Barrier, answers: Any) -> None:
    answers.put(client(number, lambda: barrier.wait(START_SECONDS)))
