"""EvaluateFresh: a model fitted from scratch at a date, in a worker."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.names import MODEL_TYPES, Series, Task, one_of
from ratchet.scoring.evaluation import Segment
from ratchet.scoring.models import families
from ratchet.trainer.v1 import trainer_pb2 as pb
from services.platform.snapshots import Snapshots
from services.platform.workers import Workers
from services.platform.workers.on_demand import OnDemand
from services.trainer.learning.fresh import FreshFit, evaluate_fresh

MAX_CONCURRENT = 8


class FreshEvaluator:
    """Thread-safe; each call waits for a worker."""

    def __init__(self, snapshots: Snapshots, workers: Workers) -> None:
        self._snapshots = snapshots
        self._demand = OnDemand(workers, MAX_CONCURRENT, "evaluation")

    def evaluate(self, request: pb.EvaluateFreshRequest, active: Callable[[], bool]) -> pb.EvaluateFreshResponse:
        """Fits and forecasts for a request; the work stops when `active` returns False.

        Raises:
            DataRefused: bars are missing, or too few. LimitReached: too many evaluations run.
        """
        with self._demand.place():
            found = self._demand.run(evaluate_fresh, self._job(request), active)
        return pb.EvaluateFreshResponse(
            times=[Timestamp(seconds=int(time)) for time in found.times],
            probabilities=found.probabilities.tolist(),
            cpu_seconds=found.cpu_seconds,
        )

    def _job(self, request: pb.EvaluateFreshRequest) -> FreshFit:
        series, task = Series.parse(request.series), Task.of(request.target, request.horizon)
        model_type = one_of("model type", request.model_type, MODEL_TYPES)
        families.require(model_type)
        bars, first = self._snapshots.period(series, task.horizon, request)
        return FreshFit(Segment(task.target, task.horizon, bars, first), model_type)
