"""Evaluation of models on out-of-sample bars, computed in a worker."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import model_pb2
from ratchet.names import Model, Series, Task
from ratchet.predictor.v1 import predictor_pb2 as pb
from ratchet.scoring import evaluation
from ratchet.scoring.data.bars import written
from ratchet.scoring.evaluation import Evaluation, RecordedModel, Segment
from services.platform.artifacts import ArtifactStore
from services.platform.snapshots import Snapshots
from services.platform.workers import Workers
from services.platform.workers.on_demand import OnDemand
from services.predictor.prediction import require_problem

MAX_CONCURRENT = 8

MAX_MODELS = 32


class Evaluator:
    """Thread-safe; each call waits for a worker."""

    def __init__(self, client: Client, store: ArtifactStore, snapshots: Snapshots, workers: Workers) -> None:
        self._client = client
        self._store = store
        self._snapshots = snapshots
        self._demand = OnDemand(workers, MAX_CONCURRENT, "evaluation")

    def evaluate(self, request: pb.EvaluateRequest, active: Callable[[], bool]) -> pb.EvaluateResponse:
        """Forecasts of the requested models and baselines; the work stops when `active` returns False.

        PreconditionFailed for a model that knows a label of a scored bar, DataRefused for missing or too few bars,
        LimitReached for too many concurrent evaluations.
        """
        with self._demand.place():
            return _response(self._demand.run(evaluation.evaluate, self._read_segment(request), active))

    def _read_segment(self, request: pb.EvaluateRequest) -> Segment:
        series, task = Series.parse(request.series), Task.of(request.target, request.horizon)
        if len(request.models) > MAX_MODELS:
            raise InvalidInput(
                f"{len(request.models)} models, {MAX_MODELS} at most in one evaluation; ask for them in parts",
                fields={"models": "too many"},
            )
        models = [Model.parse(name) for name in dict.fromkeys(request.models)]
        for model in models:
            require_problem(model.lineage, series, task)
        if not (models or request.baselines):
            raise InvalidInput(
                "nothing is to be evaluated; name models, or ask for the baselines",
                fields={"models": "empty"},
            )
        bars, first = self._snapshots.period(series, task.horizon, request)
        return Segment(
            target=task.target,
            horizon=task.horizon,
            bars=bars,
            first=first,
            models=tuple(self._load_model(str(model), int(bars.time[first])) for model in models),
            baselines=request.baselines,
        )

    def _load_model(self, name: str, first_time: int) -> RecordedModel:
        record = self._client.get_model(name).record
        require_unseen(name, record, first_time)
        return RecordedModel(name, self._store.get(record.artifact.digest))


def require_unseen(name: str, record: model_pb2.ModelRecord, first_time: int) -> None:
    """PreconditionFailed for a model with a fit or pattern that knows a label of the first scored bar's time."""
    known = [("its fit", record.windows.fit_label_end.seconds)]
    known += [(f"its pattern {use.pattern_id}", use.evidence_end.seconds) for use in record.patterns_used]
    what, end = max(known, key=lambda each: each[1])
    if end >= first_time:
        raise PreconditionFailed(
            f"{name} has seen labels until {written(end)} ({what}), and is scored only on bars after them, not from"
            f" {written(first_time)} on; choose a later first bar, or an earlier version",
            metadata={"model": name},
        )


def _response(scored: Evaluation) -> pb.EvaluateResponse:
    return pb.EvaluateResponse(
        times=[Timestamp(seconds=int(time)) for time in scored.times],
        outcomes=scored.outcomes.tolist(),
        forecasts=[pb.Forecast(name=each.name, probabilities=each.probabilities.tolist()) for each in scored.forecasts],
    )
