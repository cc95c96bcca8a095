"""Forecast of a recorded model for the bar after the last one, and its recorded skill.

The servicer computes forecasts itself: the features and the probability of one bar take milliseconds, so that a
prediction never waits for a training session. The forecast of a model on a snapshot is cached: neither ever changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.errors import DataRefused, InvalidInput
from ratchet.events.v1 import model_pb2
from ratchet.names import DEFAULT_TARGET, SKILL_BASELINES, Lineage, Model, Series, Task
from ratchet.predictor.v1 import predictor_pb2 as pb
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring import targets
from ratchet.scoring.baselines.online import OnlineBaseline
from ratchet.scoring.columns import table_for
from ratchet.scoring.data import csv_file
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats, check, written
from ratchet.scoring.data.join import join_bars
from ratchet.scoring.models import artifact
from ratchet.scoring.models.artifact import ModelFile
from services.platform.artifacts import ArtifactStore
from services.platform.snapshots import Snapshots, StoredDataset, known_zones

MAX_BARS = 100_000
"""Maximum number of bars in a request: a prediction is computed in a thread of the server."""

CACHED_MODELS = 32
"""Size of the LRU cache of loaded models."""

CACHED_FOLDS = 16
"""Size of the LRU cache of online@baseline folds over a snapshot."""

CACHED_FORECASTS = 4096
"""Size of the LRU caches of model records, and of forecasts on snapshots."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`probability` of label 1 after the last bar; `bar`: its time in epoch seconds."""

    bar: int
    probability: float


class Predictor:
    """Computes forecasts; thread-safe."""

    def __init__(self, client: Client, store: ArtifactStore, snapshots: Snapshots) -> None:
        self._client = client
        self._store = store
        self._snapshots = snapshots
        self._cached_model = lru_cache(CACHED_MODELS)(self._open)
        self._cached_forecast = lru_cache(CACHED_FORECASTS)(self._forecast_snapshot)
        self._cached_record = lru_cache(CACHED_FORECASTS)(self._load_record)
        self._cached_fold = lru_cache(CACHED_FOLDS)(self._fold)

    def predict(self, request: pb.PredictRequest) -> pb.PredictResponse:
        """The forecast for a request. NotFound for a missing model or missing bars; DataRefused for too few or
        malformed bars."""
        series = Series.parse(request.series)
        record = self._cached_record(self._model_name(series, request))
        digest = record.artifact.digest
        newest = self._snapshots.newest(series)
        given, stored = self._request_bars(series, request, newest), StoredDataset.of(newest.registered)
        if given is None:
            forecast = self._cached_forecast(digest, stored)
        else:
            forecast = self._forecast_request(record.model, self._cached_model(digest), stored, given)
        task = Lineage.parse(record.lineage).task
        return pb.PredictResponse(
            model=record.model,
            artifact_digest=digest,
            bar=Timestamp(seconds=forecast.bar),
            probability=forecast.probability,
            statement=statement(record),
            question=targets.question(task.target, task.horizon),
            skill_shown=record.skill_shown,
        )

    def _model_name(self, series: Series, request: pb.PredictRequest) -> str:
        """Name of the requested model: a version, a lineage's champion, or the symbol's best."""
        if not request.model:
            task = Task.of(request.target or DEFAULT_TARGET, request.horizon)
            return self._client.get_symbol_best(str(series), str(task)).model.name
        version = None if request.model.count("/") == 2 else Model.parse(request.model)
        lineage = version.lineage if version else Lineage.parse(request.model)
        if request.target or request.horizon:
            require_problem(lineage, series, Task.of(request.target or lineage.task.target, request.horizon))
        else:
            require_problem(lineage, series, lineage.task)
        return str(version) if version else self._client.get_champion(str(lineage)).model.name

    def _load_record(self, model: str) -> model_pb2.ModelRecord:
        """The immutable record of a version."""
        return self._client.get_model(model).record

    @staticmethod
    def _request_bars(series: Series, request: pb.PredictRequest, newest: registry_pb2.Dataset) -> Bars | None:
        """The validated bars of the request, in the zones of the newest snapshot; None to use that snapshot."""
        match request.WhichOneof("source"):
            case "bars":
                if len(request.bars.bars) > MAX_BARS:
                    raise DataRefused(f"{len(request.bars.bars)} bars, {MAX_BARS} at most; send the newest ones")
                bars = replace(bars_from_message(series, request.bars), zone=newest.registered.market_timezone)
                check(bars, "the list of bars", lambda index: index + 1, "correct it and ask again")
                return bars
            case "csv":
                return csv_file.read(request.csv, str(series), "the file", MAX_BARS, known_zones(newest)).bars
            case _:
                return None

    def _forecast_snapshot(self, model: str, dataset: StoredDataset) -> Forecast:
        """Forecast of a model, by the digest of its artifact, on a dataset."""
        model_file = self._cached_model(model)
        if not model_file.on_margin:
            return _forecast_series(model_file, self._snapshots.bars(dataset).traded())
        fold = self._cached_fold(dataset, model_file.target, model_file.horizon)
        return _forecast_series(model_file, fold.bars, fold.z)

    def _forecast_request(self, name: str, model: ModelFile, dataset: StoredDataset, given: Bars) -> Forecast:
        """Forecast of a model after the last bar of a request.

        A model that needs the whole history gets the bars joined to the snapshot `dataset`.
        """
        if model.history:
            bars = given.traded()
            _require_history(name, model.history, bars)
            return _forecast_next_bar(model, bars)
        bars = join_bars(self._snapshots.bars(dataset), given).traded()
        if not model.on_margin:
            return _forecast_series(model, bars)
        return _forecast_series(model, bars, self._cached_fold(dataset, model.target, model.horizon).log_odds(bars))

    def _fold(self, dataset: StoredDataset, target: str, horizon: int) -> OnlineBaseline:
        """online@baseline over a snapshot, cached: the first fold over a long one takes seconds."""
        return OnlineBaseline.fit(self._snapshots.bars(dataset).traded(), target, horizon)

    def _open(self, digest: str) -> ModelFile:
        return artifact.load(self._store.get(digest)).trimmed()


def _require_history(name: str, history: int, bars: Bars) -> None:
    """DataRefused for fewer bars of a request than the history of model `name`."""
    if len(bars) < history:
        raise DataRefused(
            f"{bars.series}: {len(bars)} bars with trade, {history} needed by {name}: its forecast from fewer is not"
            f" that from the whole series; send the newest {history} or more, or none to predict from the snapshot"
        )


def _forecast_series(model: ModelFile, bars: Bars, online: Floats | None = None) -> Forecast:
    """Forecast of the model after all bars of a series; DataRefused for fewer than the features need to warm up."""
    if len(bars) <= WARM_UP:
        raise DataRefused(
            f"{bars.series}: {len(bars)} bars, {WARM_UP + 1} needed to predict (the first {WARM_UP} of a series warm"
            " its features up); give more of its history"
        )
    return _forecast_next_bar(model, bars, online)


def _forecast_next_bar(model: ModelFile, bars: Bars, online: Floats | None = None) -> Forecast:
    """Forecast of the model after the last of `bars`, all of them traded.

    Args:
        online: the log-odds of online@baseline, float64[n], for a model on the margin.
    """
    X = table_for(model, bars, online).matrix(model.columns, model.patterns)
    return Forecast(int(bars.time[-1]), float(model.function.probability(X, np.array([len(bars) - 1]))[0]))


def require_problem(lineage: Lineage, series: Series, task: Task) -> None:
    """InvalidInput for a lineage of another series or task."""
    if (lineage.series, lineage.task) != (series, task):
        raise InvalidInput(
            f"{lineage} predicts {lineage.task} of {lineage.series}, not {task} of {series};"
            f" name a model of {series}/{task}: ratchet models list {series}",
            fields={"model": "of another series or task"},
        )


def bars_from_message(series: Series, given: pb.BarList) -> Bars:
    """The bars of a message, unvalidated."""
    time, *values = zip(*map(_COLUMNS, given.bars), strict=True) if given.bars else [()] * 6
    return Bars(str(series), np.array(time, np.int64), *(np.array(column, np.float64) for column in values))


_COLUMNS = attrgetter("time.seconds", "open", "high", "low", "close", "volume")


def statement(record: model_pb2.ModelRecord) -> str:
    """The recorded skill of a model, as text."""
    holdout = record.windows.holdout
    bars = f"{holdout.rows} bars, {written(holdout.first_bar.seconds)} to {written(holdout.last_bar.seconds)}"
    compared = [each for each in record.baselines if each.name in SKILL_BASELINES]
    if not compared:
        return "no skill shown: its record compares it with no baseline; do not rely on it"
    if not all(each.HasField("gain") for each in compared):
        return f"no skill shown: its holdout ({bars}) has too few bars of one class, and no metric is defined"
    own = _brier(record.metrics)
    rivals = sorted(compared, key=lambda each: _brier(each.metrics))
    if record.skill_shown:
        best = rivals[0]
        return (
            f"skill shown on {bars}: Brier {own:.3f} against {_brier(best.metrics):.3f} of {best.name}, the best of"
            f" those that it must beat, gain {_gain(best.gain)}"
        )
    unbeaten = next((each for each in rivals if not each.gain.low > 0.0), rivals[0])
    return (
        f"no skill shown: it does not beat {unbeaten.name} on its holdout ({bars}: Brier {own:.3f} against"
        f" {_brier(unbeaten.metrics):.3f}, gain {_gain(unbeaten.gain)}); treat this as no better than the baseline"
    )


def _brier(metrics: Iterable[model_pb2.Metric]) -> float:
    return next((metric.interval.value for metric in metrics if metric.name == "brier"), float("nan"))


def _gain(gain: model_pb2.Interval) -> str:
    if not (gain.HasField("low") and gain.HasField("high")):
        return f"{gain.value:+.4f}"
    return f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
