"""How fast the knowledge service is there again: a log of 100,000 pattern facts, read back from the beginning.

make bench-knowledge writes a log in its storage form and prints a row a measurement: what the messages
alone cost, the fold, the first answers, and the start of the service on a registry process. The facts are those of
5,000 rules in 50 series: a first test of 600 daily bars each, then nineteen updates of 60 to 250 bars. Their bars are
drawn; their counts are those of one rule, since a fold copies them. Exit status 1 when the log takes LIMIT seconds or
more to rebuild.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client.transport import LazyChannel, Transport
from ratchet.errors import Unreachable
from ratchet.events.v1 import envelope_pb2, facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.knowledge.v1.knowledge_pb2_grpc import KnowledgeServiceStub
from ratchet.patterns.bar_times import encode_times
from ratchet.patterns.evidence import encode
from ratchet.patterns.rule_text import pattern_id, text_of
from ratchet.transparency.event_format import FACTS as FACT_TYPES
from services.knowledge.domain import pattern_views
from services.knowledge.domain.counts import count
from services.knowledge.domain.evidence import Evidence
from services.knowledge.domain.pattern import PREFIX, stream_of
from services.knowledge.projection.follower import KnowledgeProjection, LogFollower
from services.knowledge.projection.state import KnowledgeState, fold
from services.platform.facts import Fact, from_state
from services.platform.log_client import LogClient
from services.registry.eventlog import Append, Log, Origin, RecordedEvent, open_log
from services.registry.projections import TABLES

FACTS, PATTERNS, SERIES = 100_000, 5_000, 50
EVENTS = FACTS + FACTS // PATTERNS * SERIES
FIRST_TEST, UPDATES = 600, (60, 251)
BATCH = 500
TASK, HORIZON, DAY = "range", 1, 86_400
LIMIT = 3.0

SERVE = """
import sys
from pathlib import Path
from services.platform.settings import Settings
from services.{name}.__main__ import main
main(Settings.load({name!r}, Path({home!r}), "127.0.0.1", {port}, {{"RATCHET_REGISTRY": {registry!r}}}))
"""


def facts(seed: int) -> Iterator[Fact]:
    """A discovery of each pattern, then one update of each after the other, until there are FACTS.

    Before each round every series has a snapshot with the bars of that round.
    """
    random = np.random.default_rng(seed)
    updates = FACTS // PATTERNS - 1
    definitions = [_definition(number) for number in range(PATTERNS)]
    after = _counts(random)
    reached = np.zeros(PATTERNS, dtype=np.int64)
    for version in range(1, updates + 2):
        yield from _imports(version)
        for number, definition in enumerate(definitions):
            bars = FIRST_TEST if version == 1 else int(random.integers(*UPDATES))
            start = int(reached[number])
            reached[number] += bars
            span = encode(start, random.random(bars) < 0.1, random.random(bars) < 0.5)
            evidence = pattern_pb2.BarEvidence(dataset_digest=_digest(definition.series, version), spans=[span])
            lineage = f"{definition.series}/{TASK}/random-forest"
            session = f"{definition.series}-{version}"
            state = pattern_pb2.PATTERN_STATE_CONFIRMED if number % 3 == 0 else pattern_pb2.PATTERN_STATE_REFUTED
            message = (
                facts_pb2.PatternDiscovered(
                    pattern=definition,
                    session_id=session,
                    lineage=lineage,
                    evidence=evidence,
                    after=after,
                    state=state,
                    p_value=0.001,
                    candidates_tested=20,
                    passed=number % 3 == 0,
                )
                if version == 1
                else facts_pb2.PatternValidated(
                    pattern_id=definition.id,
                    session_id=session,
                    lineage=lineage,
                    evidence=evidence,
                    before=after,
                    after=after,
                    state=state,
                )
            )
            yield Fact(stream_of(definition.id), version, message, causation_id=session)


def _imports(version: int) -> Iterator[Fact]:
    """Five weekdays, then a weekend."""
    kept, rows = (0 if each == 0 else FIRST_TEST + (each - 1) * UPDATES[1] + HORIZON for each in (version - 1, version))
    times = 1_000_000_000 + DAY * np.cumsum(np.where(np.arange(rows) % 5, 1, 3))
    for series in (f"S{number}" for number in range(SERIES)):
        dataset = facts_pb2.DatasetRegistered(
            symbol=series,
            timeframe="1d",
            digest=_digest(series, version),
            rows=rows,
            first_bar=Timestamp(seconds=int(times[0])),
            last_bar=Timestamp(seconds=int(times[-1])),
            previous_digest=_digest(series, version - 1) if kept else "",
            kept_rows=kept,
            times=encode_times(times[kept:]),
        )
        yield Fact(f"dataset/{dataset.digest}", 1, dataset)


def _digest(series: str, version: int) -> str:
    return f"{int(series[1:]) * 100 + version:064x}"


def write(log: Log, seed: int) -> None:
    """Append the facts in batches."""
    batch: list[Fact] = []
    for number, fact in enumerate(facts(seed), start=1):
        batch.append(fact)
        if number % BATCH == 0 or number == EVENTS:
            origin = Origin(f"batch-{number}", number.to_bytes(32, "big"), "bench")
            log.commit(Append(origin, tuple(batch)))
            batch.clear()


def measure(home: Path, runs: int) -> list[tuple[str, float]]:
    """Name and median of `runs` of each measurement: in this process CPU time, across processes the clock's."""
    log = open_log(f"sqlite://{home / 'log.sqlite'}", TABLES, lambda: datetime.now(UTC))
    batches = list(log.read())
    log.close()
    gc.freeze()  # The events held here are not part of what is measured.
    size = sum(len(event.state) for batch in batches for event in batch) / EVENTS
    records = _rebuilt(batches).scope("S0", TASK)
    middle = int(np.median(records[0].evidence.label_times))
    ids = {record.id for record in records}
    imports = {f"dataset/{_digest('S0', version)}" for version in range(1, FACTS // PATTERNS + 1)}
    streams = imports | {PREFIX + name for name in ids}
    of_series = [[event for event in batch if event.stream in streams] for batch in batches]
    timed: list[tuple[str, Callable[[], object]]] = [
        ("parse envelopes and messages, and nothing else, CPU s", lambda: _each(_parse, batches)),
        ("make facts of the stored bytes, CPU s", lambda: _each(_fact, batches)),
        ("rebuild: make facts of the stored bytes and fold them, CPU s", lambda: _rebuilt(batches)),
        ("rebuild one series of 100 rules, CPU s", lambda: _rebuilt(of_series)),
        ("the same and answer for it, CPU s", lambda: _answered(of_series, None)),
        ("the same, known before the middle of its bars, CPU s", lambda: _answered(of_series, middle)),
    ]
    rows = [("bytes an event", size), *((name, _median(call, runs)) for name, call in timed)]
    started = [_start(home) for _ in range(runs)]
    names = (
        "follow the log of a registry process to its end, s",
        "start a knowledge process, to its first answer, s",
        "memory of that process, MiB",
    )
    return rows + [
        (name, statistics.median(values)) for name, values in zip(names, zip(*started, strict=True), strict=True)
    ]


def _definition(number: int) -> pattern_pb2.Pattern:
    series = f"S{number % SERIES}"
    conditions = [
        pattern_pb2.Condition(
            feature=f"feature_{number % 40}", operator=pattern_pb2.OPERATOR_ABOVE, threshold=float(number)
        ),
        pattern_pb2.Condition(feature="volume_ratio_20", operator=pattern_pb2.OPERATOR_AT_MOST, threshold=2.0),
    ]
    rule = pattern_pb2.Rule(conditions=conditions, label=True)
    return pattern_pb2.Pattern(
        id=pattern_id(text_of(rule), series, TASK),
        series=series,
        task=TASK,
        rule=rule,
        wording=f"feature_{number % 40} > {number} and volume_ratio_20 <= 2 → wider range",
        type="combination",
    )


def _counts(random: np.random.Generator) -> pattern_pb2.PatternCounts:
    times = np.arange(FIRST_TEST, dtype=np.int64)
    fired = random.random(FIRST_TEST) < 0.1
    evidence = Evidence(times, times + 1, fired, fired | (random.random(FIRST_TEST) < 0.4), times)
    return count(evidence, True, HORIZON).message()


def _parse(event: RecordedEvent) -> object:
    return FACT_TYPES[event.topic].FromString(envelope_pb2.Envelope.FromString(event.state).payload)


def _fact(event: RecordedEvent) -> Fact:
    return from_state(event.stream, event.version, event.topic, event.state)


def _each(call: Callable[[RecordedEvent], object], batches: Sequence[Sequence[RecordedEvent]]) -> None:
    """Batch by batch, as they come from a log: what was made of one is gone before the next."""
    for batch in batches:
        [call(event) for event in batch]


def _rebuilt(batches: Sequence[Sequence[RecordedEvent]]) -> KnowledgeState:
    state = KnowledgeState()
    for batch in filter(None, batches):
        state = fold(state, [(event.position, _fact(event)) for event in batch], batch[-1].position)
    return state


def _answered(batches: Sequence[Sequence[RecordedEvent]], known_before: int | None) -> None:
    for found in pattern_views.views(_rebuilt(batches).scope("S0", TASK), None, known_before):
        assert len(found.evidence)
        assert not found.conflicts


def _start(home: Path) -> tuple[float, float, float]:
    """Seconds until a follower in this process and a knowledge process have read the log; the latter's MiB."""
    with _serving("registry", home, 7_451, "") as (_, registry):
        client = LogClient(registry, "bench")
        while True:
            try:
                client.head()
                break
            except Unreachable:
                time.sleep(0.1)
        projection = KnowledgeProjection(client.peer)
        follower = LogFollower(client, projection)
        began = time.perf_counter()
        follower.start()
        projection.wait(EVENTS, 60.0)
        followed = time.perf_counter() - began
        follower.close()
        client.close()
        del projection, follower
        began = time.perf_counter()
        with _serving("knowledge", home, 7_452, registry) as (process, address):
            transport = Transport("knowledge service", LazyChannel(address), "bench", 60.0)
            stub = KnowledgeServiceStub(transport.lazy_channel.channel)
            request = knowledge_pb2.GetKnowledgeRequest(series="S0", task=TASK, min_position=EVENTS)
            while True:
                try:
                    transport.unary(stub.GetKnowledge, request)
                    break
                except Unreachable:
                    time.sleep(0.02)
            answered = time.perf_counter() - began
            transport.lazy_channel.close()
            return followed, answered, psutil.Process(process.pid).memory_info().rss / 2**20


@contextmanager
def _serving(name: str, home: Path, port: int, registry: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    code = SERVE.format(name=name, home=str(home), port=port, registry=registry)
    with (home / f"{name}.log").open("ab") as output:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=output, stderr=output)
        try:
            yield process, f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _median(call: Callable[[], object], runs: int) -> float:
    """CPU seconds."""
    taken = []
    for _ in range(runs):
        began = time.process_time()
        made = call()
        taken.append(time.process_time() - began)
        del made
    return statistics.median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement; the median counts")
    parser.add_argument("--home", type=Path, help="where the log is, or is written; kept (default: a temporary folder)")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = (asked.home or Path(temporary)).resolve()
        if not (home / "log.sqlite").exists():
            home.mkdir(parents=True, exist_ok=True)
            log = open_log(f"sqlite://{home / 'log.sqlite'}", TABLES, lambda: datetime.now(UTC))
            write(log, seed=1)
            log.close()
        rows = measure(home, asked.runs)
    head = f"| {FACTS:,} facts of {PATTERNS:,} patterns | median of {asked.runs} |"
    table = "\n".join([head, "| --- | --- |", *(f"| {name} | {value:,.2f} |" for name, value in rows)])
    print(table)
    if asked.table:
        asked.table.write_text(table + "\n")
    slowest = max(value for name, value in rows if name.startswith(("rebuild", "follow")))
    return int(slowest >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
