"""What a log of a million events costs: aggregates, verification, read tables, time travel; and long lineages.

make bench-log plants sessions of eight events (bench.planted_log says which), in the form in which they are stored, and
compares a sample with what the real commit path writes. Each row is a process of its own, on one core; the last rows
are about one lineage of 10,000 versions, each of which learned from the one before it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import random
import re
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from bench.measured import HEADER, Measured, line
from bench.planted_log import EVENTS, Clock, PlantedLog, event_ids, request_of, storage_form
from ratchet.decisions import lineage, symbol
from ratchet.errors import CorruptData
from ratchet.eventlog.v1.eventlog_pb2 import AsOf
from ratchet.events.v1 import envelope_pb2, facts_pb2
from ratchet.names import Lineage
from ratchet.registry.v1 import registry_pb2 as pb
from ratchet.transparency.event_format import FACTS
from services.platform.interceptors import Caller
from services.registry.domain import dataset, session
from services.registry.eventlog import Log, LogApplication, open_log
from services.registry.eventlog.verify import verify_events
from services.registry.handlers.commands import Commands
from services.registry.handlers.states import States
from services.registry.projections import TABLES
from services.registry.queries.queries import Queries

VERSIONS = 500
"""Versions of a lineage in the large log."""
SAMPLE = 100
GENERATIONS = 1_000
CALLS = 60
READS = 60
RUNS = 5
"""Runs of what takes seconds; the quickest counts."""
CALLER = Caller("bench@desk", "")

UNSIGNED = ("the log introduces no key: nothing in it is signed", "events after position 0 are signed by nobody")
"""What verification says of a planted log, which has no key."""

PROJECTORS: dict[str, Callable[[Any, Any], Any]] = {
    "lineage": lineage.project,
    "symbol": symbol.project,
    "session": session.project,
    "dataset": dataset.project,
}

NOT_THE_REGISTRYS = tuple(
    kind.DESCRIPTOR.full_name
    for kind in (
        facts_pb2.PatternDiscovered,
        facts_pb2.PatternValidated,
        facts_pb2.PatternRetired,
        facts_pb2.FeaturesRanked,
    )
)


@dataclass(frozen=True)
class Spent:
    """Seconds of a stage, and the most memory that its process held, MiB; `said`: what it found."""

    wall: float
    cpu: float
    memory: float
    said: str = ""

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.cpu:.2f} s of CPU), {self.memory:,.0f} MiB"


@contextmanager
def opened(path: Path) -> Iterator[tuple[Log, LogApplication]]:
    log = open_log(f"sqlite:///{path}", TABLES, Clock(), lambda: uuid.uuid4().hex)
    application = LogApplication(log)
    try:
        yield log, application
    finally:
        application.close()
        log.close()


def rows_of(path: Path, until: int, without: tuple[str, ...] = ()) -> Iterator[tuple[str, int, str, bytes]]:
    """Stream, version, topic and state of the events up to a position, but for some topics."""
    marks = ", ".join("?" * len(without))
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.execute(
            "SELECT originator_id, originator_version, topic, state FROM stored_events WHERE position <= ?"
            f" AND topic NOT IN ({marks}) ORDER BY position",
            (until, *without),
        )


@dataclass(slots=True)
class Folded:
    """What the projectors read of a Fact, made in a tenth of its time."""

    stream: str
    version: int
    message: Message
    actor: str
    recorded_at: datetime | None = None


def scan(path: Path, until: int) -> str:
    """The bare limit: every row read, envelope and fact parsed."""
    count = 0
    for _, _, topic, state in rows_of(path, until):
        FACTS[topic].FromString(envelope_pb2.Envelope.FromString(state).payload)
        count += 1
    return f"{count:,} events"


def aggregates(path: Path, until: int) -> str:
    """Every state of the registry's domain, from position 1.

    A session that has ended is let go, as a cache does; patterns and rankings are the knowledge service's to fold.
    Nothing in a state refers back to it, so there is nothing for the garbage collector to find.
    """
    gc.disable()
    states: dict[str, Any] = {}
    envelope_of = envelope_pb2.Envelope.FromString
    for stream, version, topic, state in rows_of(path, until, NOT_THE_REGISTRYS):
        envelope = envelope_of(state)
        fact = Folded(stream, version, FACTS[topic].FromString(envelope.payload), envelope.actor)
        kind = stream.partition("/")[0]
        found = PROJECTORS[kind](states.get(stream), (fact,))
        if kind == "session" and found.end is not None:
            del states[stream]
        else:
            states[stream] = found
    versions = sum(found.versions for stream, found in states.items() if stream.startswith("lineage/"))
    return f"{len(states):,} states, {versions:,} versions"


def verified(path: Path) -> str:
    """The events of a log, its nodes and requests, every decision decided again."""
    with opened(path) as (log, _), log.database.read() as reader:
        found = verify_events(reader, [])
    if wrong := [text for text in found.findings if text not in UNSIGNED]:
        raise CorruptData(f"the planted log does not verify: {wrong[0]}")
    return ", ".join(f"{count:,} {what}" for what, count in found.checked if count)


def tables(path: Path) -> str:
    """The read tables made anew beside the live ones, compared and swapped."""
    with opened(path) as (log, _):
        built = log.rebuild()
    return f"{sum(table.rows for table in built):,} rows in {len(built)} tables"


def spent(stage: Callable[[], str], runs: int = 1) -> Spent:
    """A stage in a fresh process; of several runs the quickest, which other work on the machine slowed least."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return min((pool.submit(_spent, stage).result() for _ in range(runs)), key=lambda run: run.wall)


def _spent(stage: Callable[[], str]) -> Spent:
    wall, cpu = time.perf_counter(), time.process_time()
    said = stage()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu, _most_memory(), said)


def _most_memory() -> float:
    """MiB, of this process alone: getrusage would tell those of the one that started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def plant(path: Path, planted: PlantedLog, count: int) -> int:
    """A new log with so many sessions; its read tables are still empty. Returns its last position."""
    log = open_log(f"sqlite:///{path}", TABLES, Clock())
    log.close()
    return storage_form(path, planted.requests(count), Clock(), event_ids())


def sample_is_the_same(folder: Path, sessions: int) -> bool:
    """Whether the commit path writes the same events, nodes and requests as the storage form."""
    plant(folder / "stored.sqlite", PlantedLog(2), sessions)
    ids = event_ids()
    real = open_log(f"sqlite:///{folder / 'real.sqlite'}", TABLES, Clock(), lambda: next(ids))
    application = LogApplication(real)
    for request in PlantedLog(2).requests(sessions):
        application.append(request.facts, request.origin)
    application.close()
    real.close()
    return _contents(folder / "stored.sqlite") == _contents(folder / "real.sqlite")


def _contents(path: Path) -> list[list[tuple[Any, ...]]]:
    names = ("stored_events", "merkle_nodes", "requests")
    with closing(sqlite3.connect(path)) as connection:
        return [connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names]


def time_travel(path: Path, reads: int) -> list[float]:
    """Seconds of reads as of random positions, each of another lineage: nothing of it was folded before."""
    rng = random.Random(7)
    taken: list[float] = []
    with opened(path) as (log, _):
        queries = Queries(log)
        head = log.head().position
        begun = log.query("SELECT lineage, MIN(from_position) AS first FROM champion_history GROUP BY lineage")
        for _ in range(reads):
            row = rng.choice(begun)
            name, past = Lineage.parse(row["lineage"]), AsOf(position=rng.randint(row["first"] + 1, head))
            series, task = str(name.series), str(name.task)
            asked = (
                partial(queries.get_champion, pb.GetChampionRequest(lineage=str(name), as_of=past)),
                partial(queries.get_symbol_best, pb.GetSymbolBestRequest(series=series, task=task, as_of=past)),
                partial(queries.list_models, pb.ListModelsRequest(lineage=str(name), as_of=past)),
                partial(queries.list_trainings, pb.ListTrainingsRequest(lineage=str(name), as_of=past)),
            )
            taken += [_seconds(ask, time.perf_counter) for ask in asked]
    return taken


class Desk:
    """One lineage at work: the calls whose cost must not grow with it."""

    def __init__(self, planted: PlantedLog, log: Log, application: LogApplication) -> None:
        self._planted, self._log = planted, log
        self._states = States(application)
        self._commands = Commands(log, application, lambda: uuid.uuid4().hex[:16])
        self._queries = Queries(log)
        [self.name] = planted.lineages
        self._lineage = Lineage.parse(self.name)
        self._turn = itertools.count(self._states.lineage(self._lineage).versions)

    def get_champion(self) -> float:
        request = pb.GetChampionRequest(lineage=self.name)
        return _seconds(lambda: self._queries.get_champion(request), time.process_time)

    def record_training(self) -> float:
        state = self._states.lineage(self._lineage)
        [row] = self._log.query("SELECT digest FROM dataset_history ORDER BY position DESC LIMIT 1")
        asked = pb.RequestTrainingRequest(
            request_id=uuid.uuid4().hex, lineage=self.name, dataset_digest=row["digest"], policy="balanced"
        )
        begun = self._commands.request_training(asked, CALLER).events[0].fact.message
        assert isinstance(begun, facts_pb2.TrainingRequested)
        command = self._planted.command(state, begun, next(self._turn))
        best = self._states.symbol(self._lineage.series, self._lineage.task).best
        request = request_of(command, uuid.uuid4().hex, state.champion_name, best)
        return _seconds(lambda: self._commands.record_training(request, CALLER), time.process_time)

    def promote(self) -> float:
        state = self._states.lineage(self._lineage)
        model = state.model(state.versions if state.champion != state.versions else state.versions - 1)
        request = pb.PromoteModelRequest(
            request_id=uuid.uuid4().hex, model=model, expected_champion=state.champion_name, reason="to measure it"
        )
        return _seconds(lambda: self._commands.promote_model(request, CALLER), time.process_time)

    def past(self, head: int, rng: random.Random) -> float:
        request = pb.GetChampionRequest(lineage=self.name, as_of=AsOf(position=rng.randint(20, head)))
        return _seconds(lambda: self._queries.get_champion(request), time.perf_counter)

    def generations(self, version: int, direction: pb.LineageDirection.ValueType) -> tuple[float, int]:
        """Seconds, and the nodes of the answer."""
        request = pb.GetLineageRequest(subject=f"{self.name}/v{version}", direction=direction)
        began = time.perf_counter()
        found = self._queries.get_lineage(request)
        return time.perf_counter() - began, len(found.nodes)


def _seconds(call: Callable[[], Message | object], clock: Callable[[], float]) -> float:
    began = clock()
    call()
    return clock() - began


def long_lineage(folder: Path, versions: int, generations: int, calls: int) -> Iterator[Measured]:
    """A lineage of many versions beside one of ten, their calls in turn."""
    desks = {}
    with contextlib.ExitStack() as stack:
        for size in (10, versions):
            path, planted = folder / f"lineage-{size}.sqlite", PlantedLog(1, ("logistic",), chained=True)
            plant(path, planted, size)
            log, application = stack.enter_context(opened(path))
            log.rebuild()
            desks[size] = Desk(planted, log, application)
        for name in ("get_champion", "record_training", "promote"):
            cost: dict[int, list[float]] = {size: [] for size in desks}
            for _ in range(calls):
                for size, desk in desks.items():
                    cost[size].append(getattr(desk, name)())
            short, long = (1000 * statistics.median(cost[size][3:]) for size in desks)
            yield Measured(
                f"{CALL_NAMES[name]} after {versions:,} versions",
                f"{long:.2f} ms of CPU, {short:.2f} ms after 10: ratio {long / short:.2f}",
                "ratio under 1.5",
                long / short < 1.5,
            )
        yield from _on_the_long_one(desks[versions], log.head().position, versions, generations)


CALL_NAMES = {"get_champion": "GetChampion", "record_training": "RecordTraining", "promote": "PromoteModel"}


def _on_the_long_one(desk: Desk, head: int, versions: int, generations: int) -> Iterator[Measured]:
    rng = random.Random(7)
    past = [1000 * desk.past(head, rng) for _ in range(READS)]
    yield Measured(
        f"GetChampion as of a random position of {versions:,} versions",
        f"p50 {statistics.median(past):.1f} ms, longest {max(past):.1f} ms",
        "under 100 ms",
        max(past) < 100,
    )
    for words, version, direction in (
        ("ancestors", generations + 1, pb.LINEAGE_DIRECTION_ANCESTORS),
        ("descendants", versions - generations, pb.LINEAGE_DIRECTION_DESCENDANTS),
    ):
        runs = [desk.generations(version, direction) for _ in range(5)]
        seconds, nodes = statistics.median(seconds for seconds, _ in runs), runs[0][1]
        yield Measured(
            f"{words} of {generations:,} generations",
            f"{1000 * seconds:.1f} ms, {nodes:,} nodes",
            "under 50 ms",
            seconds < 0.05,
        )


def large_log(folder: Path, sessions: int) -> Iterator[Measured]:
    """Everything about one large log."""
    path = folder / "log.sqlite"
    same = sample_is_the_same(folder, SAMPLE)
    yield Measured(f"{SAMPLE} sessions by the commit path", "same bytes" if same else "other bytes", "the same", same)
    began = time.perf_counter()
    series = max(sessions // (VERSIONS * 5), 1)
    head = plant(path, PlantedLog(series), sessions)
    took = time.perf_counter() - began
    yield Measured(
        f"{head:,} events planted, {5 * series} lineages", f"{took:.0f} s, {path.stat().st_size / 2**20:,.0f} MiB"
    )
    bare = spent(partial(scan, path, head), RUNS)
    yield Measured("bare limit: SQLite scan and protobuf parse", str(bare))
    tenth, whole = (spent(partial(aggregates, path, until), RUNS) for until in (head // 10, head))
    yield Measured(
        f"aggregates rebuilt in memory ({whole.said})",
        f"{whole}, {whole.cpu / bare.cpu:.2f} times the bare limit; a tenth of the log: {tenth}",
        "under 6 s",
        whole.wall < 6,
    )
    everything = spent(partial(verified, path))
    yield Measured(f"everything verified: {everything.said}", str(everything), "under 60 s", everything.wall < 60)
    built = spent(partial(tables, path))
    yield Measured(f"read tables rebuilt: {built.said}", str(built))
    taken = [1000 * seconds for seconds in time_travel(path, READS)]
    yield Measured(
        f"{len(taken)} reads as of random positions",
        f"p50 {statistics.median(taken):.1f} ms, longest {max(taken):.1f} ms",
        "under 100 ms",
        max(taken) < 100,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--versions", type=int, default=10_000, help="of the long lineage")
    parser.add_argument("--generations", type=int, default=GENERATIONS)
    parser.add_argument("--folder", type=Path, help="where the logs are made  [default: a temporary one]")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    asked = parser.parse_args()
    lines = [line(HEADER), line(["---"] * len(HEADER))]
    print("\n".join(lines), flush=True)
    failed = False
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        for found in itertools.chain(
            long_lineage(Path(folder), asked.versions, asked.generations, CALLS),
            large_log(Path(folder), asked.events // EVENTS),
        ):
            failed |= found.holds is False
            lines.append(found.line())
            print(lines[-1], flush=True)
    if asked.table:
        asked.table.write_text("\n".join([*lines, ""]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
