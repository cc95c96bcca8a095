"""RecordTraining beside a bare INSERT with fsync: one client, then eight at once.

A call ends a session: ModelTrained with 24 features, 6 parameters and 4 metrics, TrainingCompleted, the decision on its
lineage with 120 bars of evidence, and the one on the symbol.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measured import Measured
from bench.planted_log import PlantedLog, dataset, request_of
from bench.speed.processes import registry, together
from ratchet.client import Client
from ratchet.events.v1 import facts_pb2
from ratchet.registry.v1 import registry_pb2 as pb

CALLS = 200
RUNS = 5
"""Of one client: the quickest counts, which other work on the machine slowed least."""
CLIENTS = 8
EACH = 60
WHY = (
    "a fifth is gRPC and the layers around a call; another is the gate, which judges and describes 120 bars"
    " with four tests; a tenth reads what the decision rests on; the rest checks the request,"
    " appends, signs and brings the read tables up to date, 27 statements of which each takes 5 to 25 µs. More would"
    " have to be written in another language, or done after the answer: then a reader could miss what was acknowledged."
)
BARE_RATIO, BARE_EXTRA = 1.5, 4.0
FSYNCS, BUSY, CPU = 0.5, 0.8, 3.0


@dataclass(frozen=True)
class Recorder:
    """A client that ends sessions of a lineage of its own; `calls` of them."""

    address: str
    calls: int

    def __call__(self, number: int, ready: Callable[[], object]) -> tuple[list[float], float]:
        """Seconds of each call, and when the last was answered (time.time)."""
        planted = PlantedLog(number + 1, ("logistic",))
        name = planted.lineages[number]
        with Client(registry=self.address, actor=f"bench-{number}") as client:
            digest = f"{number:064x}"
            client.register_dataset(dataset(name.partition("/")[0], digest, 9000))
            requests = [self._prepared(client, planted, name, digest, turn) for turn in range(self.calls)]
            ready()
            taken = []
            for request in requests:
                began = time.perf_counter()
                client.record_training(request)
                taken.append(time.perf_counter() - began)
            return taken, time.time()

    def _prepared(
        self, client: Client, planted: PlantedLog, name: str, digest: str, turn: int
    ) -> pb.RecordTrainingRequest:
        """A session that was requested, and the request that ends it; the planted states are brought up to it."""
        asked = client.request_training(
            pb.RequestTrainingRequest(
                request_id=f"request {name} {turn}", lineage=name, dataset_digest=digest, policy="balanced", seed=turn
            )
        )
        begun = facts_pb2.TrainingRequested(
            session_id=asked.session_id, lineage=name, dataset_digest=digest, policy="balanced", seed=turn
        )
        state, best = planted.states[name], planted.best(name)
        command = planted.command(state, begun, turn)
        planted.advance(name, begun, turn)
        return request_of(command, f"record {name} {turn}", state.champion_name, best)


def measure(folder: Path) -> Iterator[Measured]:
    runs = [_alone(folder / f"one-{number}") for number in range(RUNS)]
    sizes = _sizes(folder / "one-0" / "log.sqlite", CALLS)
    bare = 1000 * min(statistics.median(_bare(folder / f"bare-{number}.sqlite", sizes)) for number in range(RUNS))
    alone, cpu = min(p50 for p50, _ in runs), min(cpu for _, cpu in runs)
    yield Measured(
        f"RecordTraining, one client ({sum(sizes) // len(sizes):,} bytes in 4 events)",
        f"p50 {alone:.1f} ms; bare INSERT and fsync of the same bytes {bare:.2f} ms",
        f"at most {BARE_RATIO} times bare + {BARE_EXTRA:.0f} ms",
        alone <= BARE_RATIO * bare + BARE_EXTRA,
        why=WHY,
        ratio=alone / (BARE_RATIO * bare + BARE_EXTRA),
    )
    yield Measured.at_most("CPU of the registry for it", f"{cpu:.2f} ms", cpu, CPU, "ms", why=WHY)
    yield from _eight(folder)


def _alone(home: Path) -> tuple[float, float]:
    """The p50 of a call of one client, and the registry's CPU for one, ms."""
    home.mkdir()
    with registry(home) as service:
        before: list[float] = []
        [(taken, _)] = together(1, Recorder(service.address, CALLS), lambda: before.append(service.cpu()))
        return 1000 * statistics.median(taken), 1000 * (service.cpu() - before[0]) / CALLS


def _eight(folder: Path) -> Iterator[Measured]:
    home = folder / "eight"
    home.mkdir()
    with registry(home) as service:
        start: list[Any] = []
        found = together(
            CLIENTS,
            Recorder(service.address, EACH),
            lambda: start.append((time.time(), service.cpu(), _commits(home / "log.sqlite"))),
        )
        (began, cpu_before, commits_before), calls = start[0], CLIENTS * EACH
        wall, cpu = max(end for _, end in found) - began, service.cpu() - cpu_before
        fsyncs = (_commits(home / "log.sqlite") - commits_before) / calls
    yield Measured.at_most(
        f"RecordTraining, {CLIENTS} clients: commits with an fsync per acknowledged call",
        f"{fsyncs:.2f}",
        fsyncs,
        FSYNCS,
        "a call",
        guarded=True,
    )
    yield Measured(
        "the same: calls a second times the registry's CPU for one",
        f"{calls / wall:.0f}/s × {1000 * cpu / calls:.2f} ms = {cpu / wall:.2f}",
        f"at least {BUSY}",
        cpu / wall >= BUSY,
        guarded=True,
        ratio=cpu / wall / BUSY,
    )


def _sizes(log: Path, calls: int) -> list[int]:
    """Bytes of the events that each call wrote."""
    with closing(sqlite3.connect(log)) as connection:
        return [
            size
            for (size,) in connection.execute(
                "SELECT SUM(LENGTH(state)) FROM requests JOIN stored_events ON position BETWEEN first_position AND"
                " last_position WHERE request_id LIKE 'record %' GROUP BY request_id ORDER BY first_position LIMIT ?",
                (calls,),
            )
        ]


def _commits(log: Path) -> int:
    """Transactions that appended: each signs one checkpoint."""
    with closing(sqlite3.connect(log)) as connection:
        [(count,)] = connection.execute("SELECT COUNT(*) FROM checkpoints")
        return int(count)


def _bare(path: Path, sizes: list[int]) -> list[float]:
    """Seconds of each INSERT, with its fsync, into a table of one column."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, state BLOB NOT NULL)")
        taken = []
        for size in sizes:
            began = time.perf_counter()
            connection.execute("INSERT INTO events (state) VALUES (?)", (bytes(size),))
            taken.append(time.perf_counter() - began)
        return taken
