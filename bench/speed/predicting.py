"""One prediction through the service, and a thousand rows against the library's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil

from bench.measured import Measured
from bench.session import AAPL
from bench.speed.processes import all_services
from ratchet.client import Client
from services.kernel.artifacts import open_store
from services.trainer.data.csvfile import read
from services.trainer.learning.columns import Table, features_of
from services.trainer.models import artifact

CALLS, CPU = 100, 3.0
ROWS, RUNS, BATCH = 1_000, 20, 1.3
MODEL_TYPES = ("random-forest", "xgboost", "logistic")


def measure(folder: Path) -> Iterator[Measured]:
    home = folder / "home"
    home.mkdir()
    with all_services(home) as services, Client.from_home(home, environ={}) as client:
        client.import_bars(AAPL, "AAPL")
        for model_type in MODEL_TYPES:
            session = client.start_training("AAPL", model_type, "range")
            *_, last = client.watch_training(session.session_id)
            model = last.ended.model
            digest = client.get_model(model).record.artifact.digest
            trainer = psutil.Process(services.pids()["trainer"])
            yield _one(client, trainer, model)
            yield _batch(artifact.load(open_store((home / "artifacts").as_uri()).get(digest)), model_type)


def _one(client: Client, trainer: psutil.Process, model: str) -> Measured:
    client.predict("AAPL", model=model)
    before = trainer.cpu_times()
    for _ in range(CALLS):
        client.predict("AAPL", model=model)
    after = trainer.cpu_times()
    cpu = 1000 * (after.user + after.system - before.user - before.system) / CALLS
    return Measured(
        f"CPU of the trainer for one prediction, {model.rpartition('/')[0].rpartition('/')[2]}, warm",
        f"{cpu:.1f} ms",
        f"at most {CPU:.0f} ms",
        cpu <= CPU,
    )


def _batch(model: artifact.ModelFile, model_type: str) -> Measured:
    bars = read(AAPL.read_bytes(), "AAPL", AAPL.name).bars
    matrix = Table.of(bars, features_of(model)).matrix(model.columns, model.patterns)
    rows = np.arange(len(matrix) - ROWS, len(matrix), dtype=np.int64)
    [link] = [link for link in model.function.links if link.fitted is not None]
    fitted = link.fitted
    assert fitted is not None
    whole = _quickest(lambda: model.function.probability(matrix, rows))
    bare = _quickest(lambda: fitted.bare(matrix[:, list(link.reads)], rows))
    return Measured(
        f"probabilities of {ROWS:,} rows, {model_type}, against the library's own",
        f"{1000 * whole:.1f} ms, {whole / bare:.2f} times",
        f"at most {BATCH} times",
        whole / bare <= BATCH,
        guarded=True,
    )


def _quickest(call: Callable[[], object]) -> float:
    found = []
    for _ in range(RUNS):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)
