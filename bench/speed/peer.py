"""The registry beside MLflow's, where that does the same work: the same counts, one client, one after the other.

MLflow is optional: it runs in `.venv-mlflow`, which make bench-peer makes from bench/peers/mlflow.txt. What it is
asked, and how, is in bench/peers/mlflow_peer.py. What opens a training is not timed: RequestTraining, create_run.

It is compared with its leanest setting, the quicker one for one client. Its default has a row of its own: with four
workers its HTTP server leaves Nagle's algorithm on, and every answer waits 40 ms for an acknowledgement.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.measured import Measured
from bench.speed.installing import bytes_of, closure
from bench.speed.processes import Service, registry, together
from bench.speed.reading import LONG, PAGE, SHORT, planted, seconds
from bench.speed.writing import Recorder
from ratchet.client import Client
from ratchet.registry.v1 import registry_pb2 as pb

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-mlflow"
SCRIPT = ROOT / "bench" / "peers" / "mlflow_peer.py"
FULL = {"trainings": 50, "reads": 300, "pages": 20}
BRIEF = {"trainings": 15, "reads": 15, "pages": 5}


@dataclass(frozen=True)
class Cost:
    """Of a call: ms until its answer, the median, and ms of the server's CPU, the mean."""

    p50: float
    cpu: float


@dataclass(frozen=True)
class Registry:
    """What a registry took: for a training, for its champion in a short and a long lineage, for a page of models; ms
    to start, MiB of its environment."""

    record: Cost
    short: Cost
    long: Cost
    page: Cost
    start: float
    size: float


@dataclass(frozen=True)
class Peer:
    """MLflow, what its SQLite does, the p50 of each call of a training, and what it took."""

    version: str
    durability: str
    parts: str
    took: Registry


def measure(folder: Path, environment: Path = ENVIRONMENT) -> Iterator[Measured]:
    if not (environment / "installed").exists():
        yield Measured("MLflow's model registry at the same work", "not installed: make bench-peer")
        return
    lean = _mlflow(folder / "lean", environment, ["--lean"], FULL)
    usual = _mlflow(folder / "usual", environment, [], BRIEF).took
    ours = _ratchet(folder / "ratchet", **FULL)
    theirs = lean.took
    yield Measured(
        f"MLflow {lean.version} as it is compared here: SQLite ({lean.durability}), one worker, no job runner; p50 of"
        " each call of a training",
        lean.parts,
    )
    yield Measured(
        "the same with its defaults, four workers and a job runner: p50",
        f"training {_digits(usual.record.p50)} ms, champion {_digits(usual.long.p50)} ms, page"
        f" {_digits(usual.page.p50)} ms; start {_digits(usual.start / 1000)} s",
    )
    what = (
        "RecordTraining with its decision and evidence, one transaction with an fsync; MLflow: log_batch of 5"
        " parameters and 5 metrics, create_model_version, set_registered_model_alias, set_terminated, and no decision"
    )
    yield from _cost(what, ours.record, theirs.record)
    champion = "GetChampion after {:,} versions; MLflow: get_model_version_by_alias"
    yield from _cost(champion.format(SHORT), ours.short, theirs.short)
    yield from _cost(champion.format(LONG), ours.long, theirs.long)
    what = f"ListModels, a page of {PAGE} out of {LONG:,}; MLflow: search_model_versions"
    yield from _cost(what, ours.page, theirs.page)
    what = "start on an empty folder until it answers; MLflow: mlflow server, which makes its tables first"
    yield beside(what, ours.start / 1000, theirs.start / 1000, "s")
    what = "environment of the registry, with PostgreSQL's client; of MLflow, which is more than a registry"
    yield beside(what, ours.size, theirs.size, "MiB", "smaller", "larger")


def _cost(what: str, ours: Cost, theirs: Cost) -> Iterator[Measured]:
    yield beside(f"{what}: p50", ours.p50, theirs.p50, "ms")
    yield beside("the same: CPU of the server", ours.cpu, theirs.cpu, "ms", "less", "more")


def beside(
    what: str, ours: float, theirs: float, unit: str, better: str = "quicker", worse: str = "slower"
) -> Measured:
    """The row of what should not be `worse`, which the smaller number is not."""
    ratio, word = (theirs / ours, better) if ours <= theirs else (ours / theirs, worse)
    result = f"{_digits(ours)} {unit}, MLflow {_digits(theirs)} {unit}: {_digits(ratio)} times {word}"
    return Measured(what, result, f"no {worse} than MLflow", ours <= theirs, ratio=ours / theirs)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _mlflow(home: Path, environment: Path, words: list[str], counts: dict[str, int]) -> Peer:
    """RuntimeError has what MLflow said where it failed."""
    home.mkdir()
    options = {"short": SHORT, "long": LONG, "page-size": PAGE, **counts}
    answer = subprocess.run(
        [
            str(environment / "bin" / "python"),
            str(SCRIPT),
            str(home),
            *words,
            *(f"--{k}={v}" for k, v in options.items()),
        ],
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHON"))},
    )
    if answer.returncode:
        raise RuntimeError(f"MLflow could not be measured:\n{answer.stderr[-3000:]}")
    found = json.loads(answer.stdout)
    record, short, long, page = (Cost(**found[name]) for name in ("record", "short", "long", "page"))
    return Peer(
        found["version"],
        found["durability"],
        ", ".join(f"{name} {_digits(taken)} ms" for name, taken in found["record_parts"].items()),
        Registry(record, short, long, page, found["start"], found["size"]),
    )


def _ratchet(folder: Path, trainings: int, reads: int, pages: int) -> Registry:
    home = folder / "recorded"
    home.mkdir(parents=True)
    began = time.perf_counter()
    with registry(home) as service:
        start = 1000 * (time.perf_counter() - began)
        before: list[float] = []
        [(taken, _)] = together(1, Recorder(service.address, trainings), lambda: before.append(service.cpu()))
        record = Cost(1000 * statistics.median(taken), 1000 * (service.cpu() - before[0]) / trainings)
    champion = {}
    for versions in (SHORT, LONG):
        name = planted(folder / str(versions), versions)
        with registry(folder / str(versions)) as service, Client(registry=service.address) as client:
            champion[versions] = _asked(service, reads, partial(client.get_champion, name))
            page = _asked(service, pages, partial(client._registry.ListModels, pb.ListModelsRequest(page_size=PAGE)))
    mib = sum(map(bytes_of, closure(("postgres",)))) / 2**20
    return Registry(record, champion[SHORT], champion[LONG], page, start, mib)


def _asked(service: Service, calls: int, call: Callable[[], object]) -> Cost:
    """Of a call, after a first."""
    call()
    before = service.cpu()
    taken = [1000 * seconds(call) for _ in range(calls)]
    return Cost(statistics.median(taken), 1000 * (service.cpu() - before) / calls)
