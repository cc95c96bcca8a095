"""TrainerService: each gRPC method delegates to one component."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.errors import InvalidInput, Unreachable
from ratchet.names import DEFAULT_TARGET, MODEL_TYPES, POLICIES, Lineage, Series, Task, one_of
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring import targets
from ratchet.scoring.data.bars import WARM_UP, Bars
from ratchet.scoring.data.zones import Zones
from ratchet.scoring.models import families
from ratchet.trainer.v1 import trainer_pb2 as pb
from ratchet.trainer.v1 import trainer_pb2_grpc
from services.platform.interceptors import Caller
from services.trainer.api.fresh import FreshEvaluator
from services.trainer.imports.bars import Importer
from services.trainer.learning import windows
from services.trainer.sessions.reproduction import Reproducer
from services.trainer.sessions.scheduler import SessionScheduler


class TrainerService(trainer_pb2_grpc.TrainerServiceServicer):
    def __init__(
        self,
        client: Client,
        importer: Importer,
        sessions: SessionScheduler,
        reproducer: Reproducer,
        fresh: FreshEvaluator,
    ) -> None:
        self._client = client
        self._importer = importer
        self._sessions = sessions
        self._reproducer = reproducer
        self._fresh = fresh

    def ImportBars(
        self, request_iterator: Iterator[pb.ImportBarsRequest], context: grpc.ServicerContext
    ) -> pb.ImportBarsResponse:
        header = _header(request_iterator)
        series = Series.parse(header.series)
        zones = Zones(header.timezone, header.market_timezone)
        content = self._importer.received(piece.content for piece in request_iterator)
        imported = self._importer.acting_as(Caller.of(context).actor).add(
            _required(header.request_id), series, header.file_name, content, header.replace, zones
        )
        return pb.ImportBarsResponse(
            dataset=imported.dataset,
            unchanged=imported.unchanged,
            usable_bars=max(0, len(imported.bars.traded()) - WARM_UP),
            standstills=_standstills(imported.bars),
        )

    def StartTraining(
        self, request: pb.StartTrainingRequest, context: grpc.ServicerContext
    ) -> pb.StartTrainingResponse:
        request_id = _required(request.request_id)
        lineage = Lineage(
            Series.parse(request.series),
            Task.of(request.target or DEFAULT_TARGET, request.horizon),
            one_of("model type", request.model_type, MODEL_TYPES),
        )
        policy = one_of("policy", request.policy or "balanced", POLICIES)
        families.require(lineage.model_type)
        actor = Caller.of(context).actor
        importer = self._importer.acting_as(actor)
        dataset, bars = importer.snapshots.latest(lineage.series)
        if request.until:
            cut = importer.cut(f"{request_id}/cut", dataset, bars, moment(request.until))
            dataset, bars = cut.dataset, cut.bars
        labels = targets.labels(lineage.task.target, bars, lineage.task.horizon)
        windows.require_usable_bars(request.series, labels)
        asked = registry_pb2.RequestTrainingRequest(
            request_id=request_id, lineage=str(lineage), dataset_digest=dataset.registered.digest, policy=policy
        )
        if request.HasField("seed"):
            asked.seed = request.seed
        if request.until:
            asked.until.CopyFrom(Timestamp(seconds=moment(request.until)))
        try:
            training = self._client.acting_as(actor).request_training(asked)
        except Unreachable:
            self._sessions.resume_in_background()
            raise
        if training.state == registry_pb2.TRAINING_STATE_OPEN:
            self._sessions.start(training)
        return pb.StartTrainingResponse(training=training)

    def WatchTraining(
        self, request: pb.WatchTrainingRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTrainingResponse]:
        if not request.session_id:
            raise InvalidInput(
                "a session to watch needs its id; see ratchet trainings list", fields={"session_id": "empty"}
            )
        for progress in self._sessions.watch(request.session_id, context.is_active):
            yield pb.WatchTrainingResponse(
                session_id=request.session_id,
                phase=progress.phase,
                fraction=progress.fraction,
                text=progress.text,
                ended=progress.ended,
            )

    def CancelTraining(
        self, request: pb.CancelTrainingRequest, context: grpc.ServicerContext
    ) -> pb.CancelTrainingResponse:
        training = self._client.acting_as(Caller.of(context).actor).record_cancellation(
            registry_pb2.CancelTrainingRequest(
                request_id=_required(request.request_id), session_id=request.session_id, reason=request.reason
            )
        )
        self._sessions.mark_ended(training)
        return pb.CancelTrainingResponse(training=training)

    def ReproduceModel(
        self, request: pb.ReproduceModelRequest, context: grpc.ServicerContext
    ) -> pb.ReproduceModelResponse:
        return self._reproducer.reproduce(request.model, context.is_active)

    def EvaluateFresh(
        self, request: pb.EvaluateFreshRequest, context: grpc.ServicerContext
    ) -> pb.EvaluateFreshResponse:
        return self._fresh.evaluate(request, context.is_active)

    def ExportBars(
        self, request: pb.ExportBarsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExportBarsResponse]:
        for piece in self._importer.export(Series.parse(request.series)):
            yield pb.ExportBarsResponse(content=piece)


def moment(text: str) -> int:
    """Epoch seconds of the last second of a date, or of an RFC 3339 time. InvalidInput otherwise."""
    try:
        if len(text) == 10:
            return int(datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC).timestamp())
        parsed = datetime.fromisoformat(text)
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    except ValueError as error:
        raise InvalidInput(
            f"--until {text!r} is not a date; write 2009-12-31, or a time such as 2009-12-31T16:00:00Z",
            fields={"until": "not a date"},
        ) from error


def _standstills(bars: Bars) -> Iterator[pb.Standstill]:
    for run in bars.standstills():
        yield pb.Standstill(
            first_bar=Timestamp(seconds=int(bars.time[run.first_row])),
            last_bar=Timestamp(seconds=int(bars.time[run.end - 1])),
            bars=run.rows,
        )


def _header(pieces: Iterator[pb.ImportBarsRequest]) -> pb.ImportBarsHeader:
    """The header of an import, validated before the file arrives."""
    first = next(pieces, None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidInput("an import begins with a header that names its series", fields={"header": "missing"})
    return first.header


def _required(request_id: str) -> str:
    if not request_id:
        raise InvalidInput("a write needs a request_id: repeated, it is safe", fields={"request_id": "empty"})
    return request_id
