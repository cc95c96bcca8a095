"""One prediction through the service, and a thousand rows against the library's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import xgboost as xgb
from google.protobuf.timestamp_pb2 import Timestamp
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from bench.measured import Measured
from bench.session import AAPL
from bench.speed.processes import all_services
from ratchet.client import Client
from ratchet.names import Model, ModelType
from ratchet.predictor.v1 import predictor_pb2 as pb
from ratchet.scoring import features
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.data.csv_file import read
from ratchet.scoring.models.families import FAMILIES
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Params, Sample

WHY = (
    "a quarter is gRPC; the rest takes the bars of the request apart, looks at each, checks them as a file is checked,"
    " and computes the model's features over all of them. Patterns bring a dozen rolling windows, for each of which"
    " pandas takes 50 µs however few the bars."
)
CALLS, GIVEN, CPU = 100, 300, 3.0
ROUNDS = 3
"""Of so many calls: the quickest counts, which other work on the machine slowed least."""
ROWS, RUNS, BATCH = 1_000, 20, 1.3


def measure(folder: Path) -> Iterator[Measured]:
    home = folder / "home"
    home.mkdir()
    with all_services(home) as services, Client.from_home(home, environ={}) as client:
        client.import_bars(AAPL, "AAPL")
        bars = _messages(read(AAPL.read_bytes(), "AAPL", AAPL.name).bars)
        for model_type in LIBRARY:
            session = client.start_training("AAPL", model_type, "range")
            *_, last = client.watch_training(session.session_id)
            model = last.ended.model
            predictor = psutil.Process(services.pids()["predictor"])
            yield from _one(client, predictor, model, bars)
            yield _batch(model_type)


def _one(client: Client, predictor: psutil.Process, model: str, bars: Sequence[pb.Bar]) -> Iterator[Measured]:
    """The newest snapshot asked for again and again, and bars in the request that go one further with each call."""
    kind = Model.parse(model).lineage.model_type
    ends = range(len(bars) - CALLS, len(bars))
    for words, given in (
        ("after the newest snapshot", [None for _ in ends]),
        (f"after {GIVEN} bars that come with it", [bars[end - GIVEN : end] for end in ends]),
    ):
        client.predict("AAPL", model=model, bars=given[0])
        cpu = min(_round(client, predictor, model, given) for _ in range(ROUNDS))
        yield Measured.at_most(
            f"CPU of the predictor for a prediction {words}, {kind}, warm", f"{cpu:.1f} ms", cpu, CPU, "ms", why=WHY
        )


def _round(client: Client, predictor: psutil.Process, model: str, given: Sequence[Sequence[pb.Bar] | None]) -> float:
    """The predictor's CPU for each of these calls, ms."""
    before = predictor.cpu_times()
    for each in given:
        client.predict("AAPL", model=model, bars=each)
    after = predictor.cpu_times()
    return 1000 * (after.user + after.system - before.user - before.system) / len(given)


def _messages(bars: Bars) -> list[pb.Bar]:
    columns = (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [
        pb.Bar(time=Timestamp(seconds=int(time)), open=o, high=h, low=lo, close=c, volume=v)
        for time, o, h, lo, c, v in zip(*columns, strict=True)
    ]


def _batch(model_type: ModelType) -> Measured:
    """A model of one link over the base features, and the library's own model with the same settings."""
    bars = read(AAPL.read_bytes(), "AAPL", AAPL.name).bars
    names = tuple(name for name in features.BASE if name != features.LAST_LABEL)
    matrix = features.compute(bars, names)
    matrix = np.where(np.isfinite(matrix), matrix, 0.0)
    labels = (np.arange(len(matrix)) % 3 == 0).astype(np.float64)
    fitted_on = np.arange(len(matrix) - ROWS, dtype=np.int64)
    rows = np.arange(len(matrix) - ROWS, len(matrix), dtype=np.int64)
    family = FAMILIES[model_type]
    params = family.params(1)
    fitted = family.fit(Sample(matrix, labels, fitted_on), params, 7)
    link = Link(tuple(range(matrix.shape[1])), fitted, 0.0, 1.0, 0.0)
    function = Function(names, (link,))
    library = LIBRARY[model_type](params).fit(matrix[fitted_on], labels[fitted_on])
    ours = _quickest(lambda: function.probability(matrix, rows))
    bare = _quickest(lambda: library.predict_proba(matrix[rows]))
    return Measured.at_most(
        f"probabilities of {ROWS:,} rows, {model_type}, against the library's predict_proba",
        f"{1000 * ours:.1f} ms, {ours / bare:.2f} times",
        ours / bare,
        BATCH,
        "times",
        guarded=True,
    )


def _forest(params: Params) -> Any:
    return RandomForestClassifier(
        n_estimators=int(params["trees"]),
        max_depth=int(params["depth"]),
        min_samples_leaf=int(params["leaf"]),
        max_features=params["columns"],
        n_jobs=1,
    )


def _xgboost(params: Params) -> Any:
    return xgb.XGBClassifier(
        n_estimators=int(params["rounds"]), max_depth=int(params["depth"]), learning_rate=params["rate"], n_jobs=1
    )


def _logistic(params: Params) -> Any:
    return LogisticRegression(C=params["inverse_penalty"], max_iter=500)


LIBRARY: dict[ModelType, Callable[[Params], Any]] = {
    "random-forest": _forest,
    "xgboost": _xgboost,
    "logistic": _logistic,
}


def _quickest(call: Callable[[], object]) -> float:
    found = []
    for _ in range(RUNS):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)
