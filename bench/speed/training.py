"""What sessions cost beside what they are made of, and how well two workers are kept busy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.measured import Measured
from bench.session import AAPL, LIMIT, cost, last_session
from bench.speed.processes import all_services
from ratchet.client import Client
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.data.csv_file import read
from ratchet.scoring.models.families import FAMILIES
from services.local.supervisor import Supervisor

SYMBOLS, SESSIONS, MODEL_TYPE = 10, 4, "random-forest"
UNTIL = ("2006-12-29", "2008-12-31", "2010-12-31", "2012-12-31")
WALL = 1.15


def measure(folder: Path) -> Iterator[Measured]:
    bars = read(AAPL.read_bytes(), "AAPL", AAPL.name).bars
    for model_type in FAMILIES:
        inputs = last_session(bars, model_type)
        found = min((cost(inputs) for _ in range(3)), key=lambda run: run.whole)
        yield Measured.at_most(
            f"a session, {model_type}: CPU against the fits, study, features and search in it",
            f"{found.whole:.2f} s, {found.ratio_with_search:.2f} times",
            found.ratio_with_search,
            LIMIT,
            "times",
            guarded=True,
        )
    yield _many(folder)


def _many(folder: Path) -> Measured:
    """Sessions over several symbols, all asked for at once."""
    home = folder / "home"
    home.mkdir()
    with all_services(home) as services, Client.from_home(home, environ={}) as client:
        for number in range(SYMBOLS):
            client.import_bars(AAPL, f"S{number}")
        client.start_training("S0", "logistic", "volume")
        _ended(client, 1)
        before, began = _cpu(services), time.perf_counter()
        for until in UNTIL:
            for number in range(SYMBOLS):
                client.start_training(f"S{number}", MODEL_TYPE, "range", until=until)
        _ended(client, SYMBOLS * SESSIONS + 1)
        wall, cpu = time.perf_counter() - began, _cpu(services) - before
    cores = os.cpu_count() or 1
    return Measured.at_most(
        f"{SYMBOLS * SESSIONS} sessions over {SYMBOLS} symbols: wall time against all CPU by {cores} cores",
        f"{wall:.0f} s against {cpu:.0f} s / {cores}: {wall * cores / cpu:.2f} times",
        wall * cores / cpu,
        WALL,
        "times",
        guarded=True,
    )


def _ended(client: Client, count: int) -> None:
    while True:
        found = list(client.list_trainings())
        if sum(training.state != registry_pb2.TRAINING_STATE_OPEN for training in found) >= count:
            return
        time.sleep(0.5)


def _cpu(services: Supervisor) -> float:
    """Seconds of CPU of the services and their workers so far."""
    total = 0.0
    for pid in services.pids().values():
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            times = each.cpu_times()
            total += times.user + times.system
    return total
