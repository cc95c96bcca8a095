"""One soak: services under a supervisor, clients, chaos, and at the end what the log must be."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ratchet.registry.v1 import registry_pb2
from tests.soak.chaos import Chaos
from tests.soak.checks import Read, findings
from tests.soak.ledger import Ledger
from tests.soak.members import members
from tests.support.running import Running, running

MOST_MIB = {"registry": 250.0, "knowledge": 250.0, "trainer": 600.0, "predictor": 600.0}
"""Memory that a service never has more of, its workers not counted."""


@dataclass(frozen=True)
class Soaked:
    """What happened; `findings` is empty where everything held. `asked`: the seconds of load and faults."""

    asked: float
    seconds: float
    seed: int
    faults: Counter[tuple[str, str]]
    sessions: Counter[str]
    writes: Counter[str]
    abandoned: int
    answers: Counter[str]
    named: int
    checkpoints: int
    events: int
    orphans: int
    memory: dict[str, float]
    findings: list[str]


def soak(home: Path, seconds: float, seed: int) -> Soaked:
    """Run for so many seconds, then wait for every session to end, and check."""
    ledger, stopping, began = Ledger(), threading.Event(), time.monotonic()
    with running(home) as services:
        clients = members(services.client, ledger, seed, stopping)
        chaos = Chaos(services, seed)
        for thread in (*clients, chaos):
            thread.start()
        time.sleep(seconds)
        chaos.stop()
        stopping.set()
        for client in clients:
            client.join()
        wrong = _end_sessions(services)
        log = Read.of(services.patiently(lambda: list(services.client.read_log())))
        wrong += findings(log, ledger) + _rebuilt(services)
        verified, orphans = _verify(services, ledger)
        wrong += verified
        sessions = Counter(
            registry_pb2.TrainingState.Name(each.state).removeprefix("TRAINING_STATE_").lower()
            + (f" ({each.reason})" if each.state == registry_pb2.TRAINING_STATE_FAILED else "")
            for each in services.client.list_trainings()
        )
    wrong += [
        f"the {service} had {chaos.memory[service]:.0f} MiB, {most:.0f} at most"
        for service, most in MOST_MIB.items()
        if chaos.memory[service] > most
    ]
    return Soaked(
        asked=seconds,
        seconds=time.monotonic() - began,
        seed=seed,
        faults=chaos.done,
        sessions=sessions,
        writes=Counter(write.kind for write in ledger.writes),
        abandoned=ledger.abandoned,
        answers=ledger.answers,
        named=len(ledger.named),
        checkpoints=len(ledger.checkpoints),
        events=len(log.events),
        orphans=orphans,
        memory=dict(chaos.memory),
        findings=wrong,
    )


def _end_sessions(services: Running) -> list[str]:
    """Wait for the sessions that are open."""
    state = registry_pb2.TRAINING_STATE_OPEN
    wrong = []
    for training in services.patiently(lambda: list(services.client.list_trainings(state=state))):
        with contextlib.suppress(AssertionError):
            services.ended(training.session_id)
            continue
        wrong.append(f"session {training.session_id} of {training.lineage} never ended")
    return wrong


def _rebuilt(services: Running) -> list[str]:
    tables = services.client.rebuild().tables
    return [f"the read table {table.name} is not what the log says" for table in tables if not table.identical]


def _verify(services: Running, ledger: Ledger) -> tuple[list[str], int]:
    """`ratchet log verify` with every checkpoint of the run; what it found, and how many orphans it lists."""
    remembered = services.home / "remembered.txt"
    remembered.write_text("".join(each.note for _, each in sorted(ledger.checkpoints.items())), encoding="utf-8")
    done = services.cli("log", "verify", "--checkpoints", str(remembered), "--remember", str(remembered), "-o", "json")
    if done.returncode:
        return [f"ratchet log verify --remember exits {done.returncode}: {done.stderr.strip()}"], 0
    return [], len(json.loads(done.stdout)["orphans"])
