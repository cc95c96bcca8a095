"""What a recorded model says of the bar after the last one, and what is known of its skill.

Computed where it is asked for: the features and the probability of one bar take milliseconds, so that a prediction
never waits for a training session. What one model says of one snapshot is computed once: neither ever changes.
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
from ratchet.scoring import targets
from ratchet.scoring.baselines.online import Fold
from ratchet.scoring.columns import table_for
from ratchet.scoring.data import csv_file
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats, check, written
from ratchet.scoring.data.join import joined
from ratchet.scoring.models import artifact
from ratchet.scoring.models.artifact import ModelFile
from services.platform.artifacts import ArtifactStore
from services.platform.snapshots import Snapshots, known_zones

MOST_BARS = 100_000
"""In a request: a prediction is computed in a thread of the server."""

OPEN_MODELS = 32
"""Model files that are kept open, those used last."""

FOLDS = 16
"""Folds of online@baseline over a snapshot that are kept, those used last."""

REMEMBERED = 4096
"""Records of models, and what models said of snapshots: those asked for last."""


@dataclass(frozen=True, slots=True)
class Said:
    """`probability` of label 1 after the last bar, whose time is `bar` in epoch seconds."""

    bar: int
    probability: float


class Predictor:
    """Answers for many threads at once."""

    def __init__(self, client: Client, store: ArtifactStore, snapshots: Snapshots) -> None:
        self._client = client
        self._store = store
        self._snapshots = snapshots
        self._opened = lru_cache(OPEN_MODELS)(self._open)
        self._remembered = lru_cache(REMEMBERED)(self._of_snapshot)
        self._record = lru_cache(REMEMBERED)(self._recorded)
        self._folded = lru_cache(FOLDS)(self._fold)

    def predict(self, request: pb.PredictRequest) -> pb.PredictResponse:
        """The answer to a request. NotFound without such a model or bars; DataRefused for bars too few or bad."""
        series = Series.parse(request.series)
        record = self._record(self._named(series, request))
        digest = record.artifact.digest
        given = self._given(series, request)
        if given is None:
            said = self._remembered(digest, self._snapshots.newest(series).registered.digest)
        else:
            said = self._of_request(self._opened(digest), series, given)
        task = Lineage.parse(record.lineage).task
        return pb.PredictResponse(
            model=record.model,
            artifact_digest=digest,
            bar=Timestamp(seconds=said.bar),
            probability=said.probability,
            statement=statement(record),
            question=targets.question(task.target, task.horizon),
            skill_shown=record.skill_shown,
        )

    def _named(self, series: Series, request: pb.PredictRequest) -> str:
        """The model that is asked for: a version, a lineage's champion, or the symbol's best."""
        if not request.model:
            task = Task.of(request.target or DEFAULT_TARGET, request.horizon)
            return self._client.get_symbol_best(str(series), str(task)).model.name
        version = None if request.model.count("/") == 2 else Model.parse(request.model)
        lineage = version.lineage if version else Lineage.parse(request.model)
        if request.target or request.horizon:
            require_about(lineage, series, Task.of(request.target or lineage.task.target, request.horizon))
        else:
            require_about(lineage, series, lineage.task)
        return str(version) if version else self._client.get_champion(str(lineage)).model.name

    def _recorded(self, model: str) -> model_pb2.ModelRecord:
        """What was recorded of a version, and never changes."""
        return self._client.get_model(model).record

    def _given(self, series: Series, request: pb.PredictRequest) -> Bars | None:
        """The bars in the request, checked; None where those of the newest snapshot are meant."""
        match request.WhichOneof("source"):
            case "bars":
                if len(request.bars.bars) > MOST_BARS:
                    raise DataRefused(f"{len(request.bars.bars)} bars, {MOST_BARS} at most; send the newest ones")
                zone = self._snapshots.newest(series).registered.market_timezone
                bars = replace(listed(series, request.bars), zone=zone)
                check(bars, "the list of bars", lambda index: index + 1, "correct it and ask again")
                return bars
            case "csv":
                zones = known_zones(self._snapshots.newest(series))
                return csv_file.read(request.csv, str(series), "the file", MOST_BARS, zones).bars
            case _:
                return None

    def _of_snapshot(self, model: str, dataset: str) -> Said:
        """Both by their digests."""
        opened = self._opened(model)
        if not opened.on_margin:
            return next_bar(opened, self._snapshots.bars(dataset).traded())
        fold = self._folded(dataset, opened.target, opened.horizon)
        return next_bar(opened, fold.bars, fold.z)

    def _of_request(self, model: ModelFile, series: Series, given: Bars) -> Said:
        """What a model says after the last of the bars in a request."""
        if not model.on_margin:
            return next_bar(model, given.traded())
        dataset = self._snapshots.newest(series).registered.digest
        bars = joined(self._snapshots.bars(dataset), given).traded()
        return next_bar(model, bars, self._folded(dataset, model.target, model.horizon).log_odds(bars))

    def _fold(self, dataset: str, target: str, horizon: int) -> Fold:
        """online@baseline over a snapshot: a long one takes seconds, once."""
        return Fold.over(self._snapshots.bars(dataset).traded(), target, horizon)

    def _open(self, digest: str) -> ModelFile:
        return artifact.load(self._store.get(digest))


def next_bar(model: ModelFile, bars: Bars, online: Floats | None = None) -> Said:
    """What the model says after the last of `bars`, which all traded; all of them count, for features remember.

    Args:
        online: the log-odds of online@baseline, float64[n], for a model on the margin.

    Raises:
        DataRefused: too few bars.
    """
    if len(bars) <= WARM_UP:
        raise DataRefused(
            f"{bars.series}: {len(bars)} bars, {WARM_UP + 1} needed to predict (the first {WARM_UP} of a series warm"
            " its features up); give more of its history"
        )
    X = table_for(model, bars, online).matrix(model.columns, model.patterns)
    return Said(int(bars.time[-1]), float(model.function.probability(X, np.array([len(bars) - 1]))[0]))


def require_about(lineage: Lineage, series: Series, task: Task) -> None:
    """InvalidInput for a lineage of another series or task."""
    if (lineage.series, lineage.task) != (series, task):
        raise InvalidInput(
            f"{lineage} predicts {lineage.task} of {lineage.series}, not {task} of {series};"
            f" name a model of {series}/{task}: ratchet models list {series}",
            fields={"model": "of another series or task"},
        )


def listed(series: Series, given: pb.BarList) -> Bars:
    """The bars of a message, as they are: unchecked."""
    time, *values = zip(*map(_COLUMNS, given.bars), strict=True) if given.bars else [()] * 6
    return Bars(str(series), np.array(time, np.int64), *(np.array(column, np.float64) for column in values))


_COLUMNS = attrgetter("time.seconds", "open", "high", "low", "close", "volume")


def statement(record: model_pb2.ModelRecord) -> str:
    """What is known of a model's skill, from its record, in words."""
    held = record.windows.holdout
    bars = f"{held.rows} bars, {written(held.first_bar.seconds)} to {written(held.last_bar.seconds)}"
    asked = [each for each in record.baselines if each.name in SKILL_BASELINES]
    if not asked:
        return "no skill shown: its record compares it with no baseline; do not rely on it"
    if not all(each.HasField("gain") for each in asked):
        return f"no skill shown: its holdout ({bars}) has too few bars of one class, and no metric is defined"
    own = _brier(record.metrics)
    rivals = sorted(asked, key=lambda each: _brier(each.metrics))
    if record.skill_shown:
        best = rivals[0]
        return (
            f"skill shown on {bars}: Brier {own:.3f} against {_brier(best.metrics):.3f} of the best baseline"
            f" ({best.name}), gain {_gain(best.gain)}"
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
