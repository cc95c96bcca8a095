"""The client of the services: one typed method for each rpc, returning the contract's messages.

Every method raises only RatchetErrors. Writes take a `request_id`; by default each call generates one, and its retries
share it. Lists are iterators over all pages.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypedDict, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client.channel import MESSAGE_LIMIT
from ratchet.client.credentials import Credentials
from ratchet.client.endpoints import Endpoints
from ratchet.client.transport import BACKOFF, LazyChannel, Transport
from ratchet.errors import InvalidInput
from ratchet.eventlog.v1 import eventlog_pb2 as log_pb
from ratchet.eventlog.v1.eventlog_pb2_grpc import EventLogServiceStub
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as knowledge_pb
from ratchet.knowledge.v1.knowledge_pb2_grpc import KnowledgeServiceStub
from ratchet.predictor.v1 import predictor_pb2 as predictor_pb
from ratchet.predictor.v1.predictor_pb2_grpc import PredictorServiceStub
from ratchet.registry.v1 import registry_pb2 as registry_pb
from ratchet.registry.v1.registry_pb2_grpc import RegistryServiceStub
from ratchet.trainer.v1 import trainer_pb2 as trainer_pb
from ratchet.trainer.v1.trainer_pb2_grpc import TrainerServiceStub

if TYPE_CHECKING:
    from ratchet.transparency.checkpoints import Checkpoint

TIMEOUT = 30.0
LONG_TIMEOUT = 600.0
STREAM_TIMEOUT = 3600.0
CHUNK_SIZE = 1024 * 1024
PAGE_SIZE = 200
MAX_FILE = MESSAGE_LIMIT - CHUNK_SIZE
"""Maximum bytes of a file in one message."""

Item = TypeVar("Item")
AsOf: TypeAlias = int | Timestamp
"""A point in log time: a log position, or a time, which means the last event recorded by then."""


def default_actor() -> str:
    """user@host, as far as known."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


class Client:
    """Client of Ratchet's services. Addresses are host:port; `timeout` is each call's deadline in seconds.

    `credentials` default to those of the environment. With tokens, the token identifies the caller, and only services
    may set another `actor`.
    """

    def __init__(
        self,
        registry: str = Endpoints.registry,
        knowledge: str = Endpoints.knowledge,
        trainer: str = Endpoints.trainer,
        predictor: str = Endpoints.predictor,
        actor: str = "",
        timeout: float = TIMEOUT,
        credentials: Credentials | None = None,
    ) -> None:
        self.endpoints = Endpoints(registry, knowledge, trainer, predictor)
        self.actor = actor or default_actor()
        self._credentials = Credentials.load() if credentials is None else credentials
        self.registry = Transport("registry", LazyChannel(registry, self._credentials), self.actor, timeout)
        self.knowledge = Transport("knowledge service", LazyChannel(knowledge, self._credentials), self.actor, timeout)
        self.trainer = Transport("trainer", LazyChannel(trainer, self._credentials), self.actor, timeout)
        self.predictor = Transport("predictor", LazyChannel(predictor, self._credentials), self.actor, timeout)

    @classmethod
    def from_home(
        cls, home: str | Path, environ: Mapping[str, str] = os.environ, actor: str = "", timeout: float = TIMEOUT
    ) -> Client:
        """A client of the services of `ratchet up` on `home`; addresses in `environ` (RATCHET_REGISTRY …) override.

        Its credentials come from `environ` too.
        """
        found = Endpoints.read(Path(home)).overridden(environ)
        return cls(**asdict(found), actor=actor, timeout=timeout, credentials=Credentials.load(environ))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def acting_as(self, actor: str) -> Client:
        """A client on the same channels with another actor; a service uses it to act for its caller."""
        other = Client(**asdict(self.endpoints), actor=actor, credentials=self._credentials)
        other.registry = self.registry.acting_as(other.actor)
        other.knowledge = self.knowledge.acting_as(other.actor)
        other.trainer = self.trainer.acting_as(other.actor)
        other.predictor = self.predictor.acting_as(other.actor)
        return other

    def close(self) -> None:
        """Closes the channels, which clients of `acting_as` share."""
        for transport in (self.registry, self.knowledge, self.trainer, self.predictor):
            transport.lazy_channel.close()

    @cached_property
    def _log(self) -> EventLogServiceStub:
        return EventLogServiceStub(self.registry.lazy_channel.channel)

    @cached_property
    def _registry(self) -> RegistryServiceStub:
        return RegistryServiceStub(self.registry.lazy_channel.channel)

    @cached_property
    def _knowledge(self) -> KnowledgeServiceStub:
        return KnowledgeServiceStub(self.knowledge.lazy_channel.channel)

    @cached_property
    def _trainer(self) -> TrainerServiceStub:
        return TrainerServiceStub(self.trainer.lazy_channel.channel)

    @cached_property
    def _predictor(self) -> PredictorServiceStub:
        return PredictorServiceStub(self.predictor.lazy_channel.channel)

    # Data

    def import_bars(
        self,
        file: str | Path,
        series: str,
        *,
        replace: bool = False,
        timezone: str = "",
        market_timezone: str = "",
        request_id: str = "",
    ) -> trainer_pb.ImportBarsResponse:
        """Sends a file of bars in chunks of 1 MiB.

        Args:
            replace: allows changed history, and another market time zone.
            timezone: zone of the file's times without a UTC offset, an IANA name such as America/New_York.
            market_timezone: zone of the calendar features of the series; `timezone` by default.
        """
        path = _require_file(file, series)
        header = trainer_pb.ImportBarsHeader(
            request_id=_or_new(request_id),
            series=series,
            file_name=path.name,
            replace=replace,
            timezone=timezone,
            market_timezone=market_timezone,
        )

        def pieces() -> Iterator[trainer_pb.ImportBarsRequest]:
            yield trainer_pb.ImportBarsRequest(header=header)
            with path.open("rb") as source:
                while piece := source.read(CHUNK_SIZE):
                    yield trainer_pb.ImportBarsRequest(content=piece)

        return self.trainer.upload(self._trainer.ImportBars, pieces, LONG_TIMEOUT)

    def export_bars(self, series: str) -> Iterator[bytes]:
        """The newest snapshot of a series as a CSV file in chunks; importing the file gives the same snapshot."""
        request = trainer_pb.ExportBarsRequest(series=series)
        for answer in self.trainer.stream(self._trainer.ExportBars, lambda: request, LONG_TIMEOUT):
            yield answer.content

    def register_dataset(self, dataset: facts_pb2.DatasetRegistered, *, request_id: str = "") -> registry_pb.Dataset:
        request = registry_pb.RegisterDatasetRequest(request_id=_or_new(request_id), dataset=dataset)
        return self.registry.unary(self._registry.RegisterDataset, request).dataset

    def list_datasets(
        self,
        series: str = "",
        *,
        include_cuts: bool = False,
        latest_only: bool = False,
        as_of: AsOf | None = None,
    ) -> Iterator[registry_pb.Dataset]:
        request = registry_pb.ListDatasetsRequest(
            series=series,
            include_cuts=include_cuts,
            latest_only=latest_only,
            page_size=PAGE_SIZE,
            as_of=_as_of(as_of),
        )
        return _pages(
            request, lambda: self.registry.unary(self._registry.ListDatasets, request), lambda answer: answer.datasets
        )

    def get_dataset(self, digest: str, *, as_of: AsOf | None = None) -> registry_pb.Dataset:
        """The newest registration of a dataset; NotFound for an unknown digest."""
        request = registry_pb.GetDatasetRequest(digest=digest, as_of=_as_of(as_of))
        return self.registry.unary(self._registry.GetDataset, request).dataset

    # Training sessions

    def start_training(
        self,
        series: str,
        model_type: str,
        target: str,
        *,
        horizon: int = 0,
        until: str = "",
        policy: str = "",
        seed: int | None = None,
        request_id: str = "",
    ) -> registry_pb.Training:
        """Starts a session; horizon 0 and policy "" are the defaults, `until` a date or RFC 3339 time."""
        request = trainer_pb.StartTrainingRequest(
            request_id=_or_new(request_id),
            series=series,
            model_type=model_type,
            target=target,
            horizon=horizon,
            until=until,
            policy=policy,
            seed=seed,
        )
        return self.trainer.unary(self._trainer.StartTraining, request).training

    def watch_training(self, session_id: str) -> Iterator[trainer_pb.WatchTrainingResponse]:
        """Progress until the session's end; the last message has `ended`."""
        request = trainer_pb.WatchTrainingRequest(session_id=session_id)
        return self.trainer.stream(self._trainer.WatchTraining, lambda: request, STREAM_TIMEOUT, resumable=True)

    def cancel_training(self, session_id: str, reason: str = "", *, request_id: str = "") -> registry_pb.Training:
        """Stops a session and records its cancellation."""
        request = trainer_pb.CancelTrainingRequest(request_id=_or_new(request_id), session_id=session_id, reason=reason)
        return self.trainer.unary(self._trainer.CancelTraining, request).training

    def list_trainings(
        self,
        *,
        series: str = "",
        lineage: str = "",
        session_id: str = "",
        state: registry_pb.TrainingState.ValueType = registry_pb.TRAINING_STATE_UNSPECIFIED,
        as_of: AsOf | None = None,
    ) -> Iterator[registry_pb.Training]:
        request = registry_pb.ListTrainingsRequest(
            lineage=lineage,
            series=series,
            state=state,
            session_id=session_id,
            page_size=PAGE_SIZE,
            as_of=_as_of(as_of),
        )
        return _pages(
            request, lambda: self.registry.unary(self._registry.ListTrainings, request), lambda answer: answer.trainings
        )

    def request_training(self, request: registry_pb.RequestTrainingRequest) -> registry_pb.Training:
        return self.registry.unary(self._registry.RequestTraining, _with_request_id(request)).training

    def fail_training(self, request: registry_pb.FailTrainingRequest) -> registry_pb.Training:
        return self.registry.unary(self._registry.FailTraining, _with_request_id(request)).training

    def record_cancellation(self, request: registry_pb.CancelTrainingRequest) -> registry_pb.Training:
        """The registry's CancelTraining: records the fact only. `cancel_training` also stops the work."""
        return self.registry.unary(self._registry.CancelTraining, _with_request_id(request)).training

    def record_training(self, request: registry_pb.RecordTrainingRequest) -> registry_pb.RecordTrainingResponse:
        return self.registry.unary(self._registry.RecordTraining, _with_request_id(request))

    # Models and decisions

    def get_model(self, model: str, *, as_of: AsOf | None = None) -> registry_pb.Model:
        request = registry_pb.GetModelRequest(model=model, as_of=_as_of(as_of))
        return self.registry.unary(self._registry.GetModel, request).model

    def list_models(
        self, *, series: str = "", task: str = "", lineage: str = "", as_of: AsOf | None = None
    ) -> Iterator[registry_pb.Model]:
        request = registry_pb.ListModelsRequest(
            series=series, task=task, lineage=lineage, page_size=PAGE_SIZE, as_of=_as_of(as_of)
        )
        return _pages(
            request, lambda: self.registry.unary(self._registry.ListModels, request), lambda answer: answer.models
        )

    def compare_models(self, model: str, other: str) -> registry_pb.CompareModelsResponse:
        request = registry_pb.CompareModelsRequest(model=model, other=other)
        return self.registry.unary(self._registry.CompareModels, request)

    def get_champion(self, lineage: str, *, as_of: AsOf | None = None) -> registry_pb.GetChampionResponse:
        request = registry_pb.GetChampionRequest(lineage=lineage, as_of=_as_of(as_of))
        return self.registry.unary(self._registry.GetChampion, request)

    def get_symbol_best(
        self, series: str, task: str, *, as_of: AsOf | None = None
    ) -> registry_pb.GetSymbolBestResponse:
        request = registry_pb.GetSymbolBestRequest(series=series, task=task, as_of=_as_of(as_of))
        return self.registry.unary(self._registry.GetSymbolBest, request)

    def get_session_inputs(self, session_id: str, market_time: Timestamp) -> registry_pb.GetSessionInputsResponse:
        """What a session starts from; `market_time`: the last labelled bar of its data."""
        request = registry_pb.GetSessionInputsRequest(session_id=session_id, market_time=market_time)
        return self.registry.unary(self._registry.GetSessionInputs, request)

    def promote_model(
        self, model: str, reason: str, expected_champion: str, *, request_id: str = ""
    ) -> registry_pb.Decision:
        """Promotes `model` if `expected_champion` is in force, else raises ChampionMoved."""
        request = registry_pb.PromoteModelRequest(
            request_id=_or_new(request_id), model=model, expected_champion=expected_champion, reason=reason
        )
        return self.registry.unary(self._registry.PromoteModel, request).decision

    def rollback_champion(
        self,
        lineage: str,
        reason: str,
        expected_champion: str = "",
        *,
        despite_cause: bool = False,
        request_id: str = "",
    ) -> registry_pb.Decision:
        """Restores the previous champion; a demoted one only with `despite_cause`."""
        request = registry_pb.RollbackChampionRequest(
            request_id=_or_new(request_id),
            lineage=lineage,
            reason=reason,
            expected_champion=expected_champion,
            despite_cause=despite_cause,
        )
        return self.registry.unary(self._registry.RollbackChampion, request).decision

    def list_decisions(
        self,
        *,
        lineage: str = "",
        series: str = "",
        task: str = "",
        session_id: str = "",
        include_evidence_bytes: bool = False,
        as_of: AsOf | None = None,
    ) -> Iterator[registry_pb.Decision]:
        request = registry_pb.ListDecisionsRequest(
            lineage=lineage,
            series=series,
            task=task,
            session_id=session_id,
            page_size=PAGE_SIZE,
            include_evidence_bytes=include_evidence_bytes,
            as_of=_as_of(as_of),
        )
        return _pages(
            request, lambda: self.registry.unary(self._registry.ListDecisions, request), lambda answer: answer.decisions
        )

    def get_lineage(
        self, subject: str, *, descendants: bool = False, depth: int = 0, as_of: AsOf | None = None
    ) -> registry_pb.GetLineageResponse:
        """Ancestors or descendants of a model, dataset digest or pattern; depth 0: all hops."""
        directions = registry_pb.LINEAGE_DIRECTION_ANCESTORS, registry_pb.LINEAGE_DIRECTION_DESCENDANTS
        request = registry_pb.GetLineageRequest(
            subject=subject, direction=directions[descendants], depth=depth, as_of=_as_of(as_of)
        )
        return self.registry.unary(self._registry.GetLineage, request)

    # Predictions

    def predict(
        self,
        series: str,
        target: str = "",
        *,
        horizon: int = 0,
        model: str = "",
        bars: Sequence[predictor_pb.Bar] | None = None,
        file: str | Path | None = None,
    ) -> predictor_pb.PredictResponse:
        """Forecast of the bar after the newest snapshot, after `bars`, or after the bars of a CSV file.

        `model`: a version, or a lineage for its champion; "": the symbol's best. Target "" is the model's target, or
        direction.
        """
        if bars is not None and file is not None:
            raise InvalidInput("bars and a file are both given; leave one out", fields={"source": "given twice"})
        request = predictor_pb.PredictRequest(series=series, target=target, horizon=horizon, model=model)
        if bars is not None:
            request.bars.CopyFrom(predictor_pb.BarList(bars=bars))
        if file is not None:
            request.csv = _content(_require_file(file, series))
        return self.predictor.unary(self._predictor.Predict, request)

    def evaluate(
        self,
        series: str,
        target: str,
        *,
        first_bar: Timestamp,
        last_bar: Timestamp,
        horizon: int = 0,
        models: Sequence[str] = (),
        baselines: bool = False,
    ) -> predictor_pb.EvaluateResponse:
        """The forecasts of models and baselines on the bars from `first_bar` to `last_bar`."""
        request = predictor_pb.EvaluateRequest(
            series=series,
            target=target,
            horizon=horizon,
            first_bar=first_bar,
            last_bar=last_bar,
            models=models,
            baselines=baselines,
        )
        return self.predictor.unary(self._predictor.Evaluate, request, LONG_TIMEOUT)

    def evaluate_fresh(
        self,
        series: str,
        target: str,
        model_type: str,
        *,
        first_bar: Timestamp,
        last_bar: Timestamp,
        horizon: int = 0,
    ) -> trainer_pb.EvaluateFreshResponse:
        """Forecasts of a model fitted from scratch at `first_bar`, on the bars up to `last_bar`."""
        request = trainer_pb.EvaluateFreshRequest(
            series=series,
            target=target,
            horizon=horizon,
            first_bar=first_bar,
            last_bar=last_bar,
            model_type=model_type,
        )
        return self.trainer.unary(self._trainer.EvaluateFresh, request, LONG_TIMEOUT)

    def reproduce_model(self, model: str) -> trainer_pb.ReproduceModelResponse:
        """Reproduces a recorded model and compares both; it takes as long as the session did."""
        request = trainer_pb.ReproduceModelRequest(model=model)
        return self.trainer.unary(self._trainer.ReproduceModel, request, LONG_TIMEOUT)

    # Knowledge

    def record_evidence(self, request: knowledge_pb.RecordEvidenceRequest) -> knowledge_pb.RecordEvidenceResponse:
        return self.knowledge.unary(self._knowledge.RecordEvidence, request)

    def get_knowledge(
        self,
        series: str,
        task: str,
        *,
        known_before: Timestamp | None = None,
        as_of: AsOf | None = None,
        min_position: int = 0,
        include_all: bool = False,
        market_time: Timestamp | None = None,
    ) -> knowledge_pb.GetKnowledgeResponse:
        """Patterns from labels known before a market time, and from facts as of a log position or log time.

        `market_time`: of the calling session; facts of sessions of a later market time do not count.
        """
        request = knowledge_pb.GetKnowledgeRequest(
            series=series,
            task=task,
            known_before=known_before,
            min_position=min_position,
            include_all=include_all,
            market_time=market_time,
            **_log_time(as_of),
        )
        return self.knowledge.unary(self._knowledge.GetKnowledge, request)

    def list_patterns(
        self,
        *,
        series: str = "",
        task: str = "",
        state: pattern_pb2.PatternState.ValueType = pattern_pb2.PATTERN_STATE_UNSPECIFIED,
        known_before: Timestamp | None = None,
        as_of: AsOf | None = None,
        min_position: int = 0,
    ) -> Iterator[knowledge_pb.KnownPattern]:
        request = knowledge_pb.ListPatternsRequest(
            series=series,
            task=task,
            state=state,
            known_before=known_before,
            page_size=PAGE_SIZE,
            min_position=min_position,
            **_log_time(as_of),
        )
        return _pages(
            request, lambda: self.knowledge.unary(self._knowledge.ListPatterns, request), lambda answer: answer.patterns
        )

    def get_pattern(
        self,
        pattern_id: str,
        *,
        known_before: Timestamp | None = None,
        as_of: AsOf | None = None,
        min_position: int = 0,
    ) -> knowledge_pb.GetPatternResponse:
        """One pattern by its id or a prefix of it, with its history and its evidence by year."""
        request = knowledge_pb.GetPatternRequest(
            pattern_id=pattern_id,
            known_before=known_before,
            min_position=min_position,
            **_log_time(as_of),
        )
        return self.knowledge.unary(self._knowledge.GetPattern, request)

    def offer_pattern(
        self, pattern_id: str, series: str, reason: str, *, request_id: str = ""
    ) -> knowledge_pb.KnownPattern:
        """Makes a pattern of one series a candidate of another; returns it there, without evidence of its own."""
        request = knowledge_pb.OfferPatternRequest(
            request_id=_or_new(request_id), pattern_id=pattern_id, series=series, reason=reason
        )
        return self.knowledge.unary(self._knowledge.OfferPattern, request).pattern

    def retire_pattern(self, pattern_id: str, reason: str, *, request_id: str = "") -> knowledge_pb.KnownPattern:
        request = knowledge_pb.RetirePatternRequest(
            request_id=_or_new(request_id), pattern_id=pattern_id, reason=reason
        )
        return self.knowledge.unary(self._knowledge.RetirePattern, request).pattern

    def list_success_rates(
        self,
        *,
        series: str = "",
        task: str = "",
        as_of: AsOf | None = None,
        min_position: int = 0,
    ) -> Sequence[knowledge_pb.SuccessRate]:
        """Success rates of tested rules, by series and type."""
        request = knowledge_pb.ListSuccessRatesRequest(
            series=series, task=task, min_position=min_position, **_log_time(as_of)
        )
        return self.knowledge.unary(self._knowledge.ListSuccessRates, request).rates

    def list_feature_history(
        self,
        lineage: str,
        *,
        as_of: AsOf | None = None,
        min_position: int = 0,
        market_time: Timestamp | None = None,
    ) -> Iterator[knowledge_pb.FeatureRanking]:
        """Rankings of a lineage, oldest first. `market_time`: of the calling session; rankings of a later market time
        are left out."""
        request = knowledge_pb.ListFeatureHistoryRequest(
            lineage=lineage,
            page_size=PAGE_SIZE,
            min_position=min_position,
            market_time=market_time,
            **_log_time(as_of),
        )
        return _pages(
            request,
            lambda: self.knowledge.unary(self._knowledge.ListFeatureHistory, request),
            lambda answer: answer.rankings,
        )

    # The log

    def append(self, request: log_pb.AppendRequest) -> log_pb.AppendResponse:
        return self.registry.unary(self._log.Append, _with_request_id(request))

    def get_head(self) -> log_pb.GetHeadResponse:
        """The end of the log, with its checkpoint if the registry signs."""
        return self.registry.unary(self._log.GetHead, log_pb.GetHeadRequest())

    def read_log(
        self,
        start: int = 0,
        stop: int = 0,
        *,
        limit: int = 0,
        descending: bool = False,
        stream: str = "",
        where: log_pb.Filter | None = None,
    ) -> Iterator[log_pb.StoredEvent]:
        """Events from position `start` through `stop` (0: the head), or of one stream; at most `limit` (0: all)."""
        request = log_pb.ReadRequest(
            start=start, stop=stop, limit=limit, descending=descending, stream=stream, filter=where
        )
        for answer in self.registry.stream(self._log.Read, lambda: request, STREAM_TIMEOUT):
            yield from answer.events

    def follow_log(self, after: int = 0, *, where: log_pb.Filter | None = None) -> Iterator[log_pb.StoredEvent]:
        """Events after a position, existing and future ones, without end.

        Reconnects to a stopped registry; Unreachable if it stays down.
        """
        request = log_pb.SubscribeRequest(after=after, filter=where)
        while True:
            for answer in self.registry.stream(self._log.Subscribe, lambda: request, STREAM_TIMEOUT, resumable=True):
                yield from answer.events
                request.after = max(request.after, answer.position)
            time.sleep(BACKOFF[0])

    def prove_inclusion(self, position: int, size: int = 0) -> log_pb.ProveInclusionResponse:
        """Inclusion proof of the event at `position` in the first `size` events (0: all); verify it with
        ratchet.transparency.merkle."""
        request = log_pb.ProveInclusionRequest(position=position, size=size)
        return self.registry.unary(self._log.ProveInclusion, request)

    def prove_consistency(self, old_size: int, new_size: int = 0) -> log_pb.ProveConsistencyResponse:
        """Consistency proof of the first `old_size` events with the first `new_size` (0: all)."""
        request = log_pb.ProveConsistencyRequest(old_size=old_size, new_size=new_size)
        return self.registry.unary(self._log.ProveConsistency, request)

    def list_checkpoints(self, from_size: int = 0) -> Iterator[Checkpoint]:
        """Checkpoints of at least `from_size` events, by ascending size; their signatures are not verified.

        CorruptData for a malformed one.
        """
        from ratchet.transparency.checkpoints import received

        request = log_pb.ListCheckpointsRequest(from_size=from_size)
        while notes := self.registry.unary(self._log.ListCheckpoints, request).checkpoints:
            for note in notes:
                checkpoint = received(note)
                yield checkpoint
            request.from_size = checkpoint.size + 1

    def export_log(self, start: int = 0, stop: int = 0) -> Iterator[log_pb.ExportResponse]:
        """Batches of stored events, oldest first; the last one with the checkpoint of the export, if any."""
        request = log_pb.ExportRequest(start=start, stop=stop)
        return self.registry.stream(self._log.Export, lambda: request, STREAM_TIMEOUT)

    def verify(self, remembered: Iterable[Checkpoint] = (), *, collect_garbage: bool = False) -> log_pb.VerifyResponse:
        """Verification by the registry of its database and artifacts; the log must continue what is `remembered`.

        For verification without trust in the registry, replay its export: see ratchet.transparency.verification.
        """
        request = log_pb.VerifyRequest(remembered=[each.note for each in remembered], collect_garbage=collect_garbage)
        return self.registry.unary(self._log.Verify, request, STREAM_TIMEOUT)

    def rebuild(self) -> log_pb.RebuildResponse:
        """Rebuilds every read table from position 0 and compares it with the live one."""
        return self.registry.unary(self._log.Rebuild, log_pb.RebuildRequest(), LONG_TIMEOUT)


_Write = TypeVar(
    "_Write",
    registry_pb.RequestTrainingRequest,
    registry_pb.FailTrainingRequest,
    registry_pb.CancelTrainingRequest,
    registry_pb.RecordTrainingRequest,
    log_pb.AppendRequest,
)


def _as_of(point: AsOf | None) -> log_pb.AsOf | None:
    """None for the present."""
    if point is None:
        return None
    return log_pb.AsOf(position=point) if isinstance(point, int) else log_pb.AsOf(time=point)


class _LogTime(TypedDict, total=False):
    as_of_position: int
    as_of_time: Timestamp


def _log_time(point: AsOf | None) -> _LogTime:
    """The same for the knowledge service, which has one request field for each."""
    if point is None:
        return {}
    return {"as_of_position": point} if isinstance(point, int) else {"as_of_time": point}


def _or_new(request_id: str) -> str:
    return request_id or str(uuid.uuid4())


def _require_file(file: str | Path, series: str) -> Path:
    path = Path(file)
    if not path.is_file():
        raise InvalidInput(
            f"{path} is not a file; give the path of a CSV file with the bars of {series}",
            fields={"file": "not a file"},
        )
    return path


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_FILE:
        raise InvalidInput(
            f"{path} holds {size >> 20} MiB, {MAX_FILE >> 20} at most for a prediction; leave the oldest bars out",
            fields={"file": "too large"},
        )
    return path.read_bytes()


def _with_request_id(request: _Write) -> _Write:
    """The request with an id: itself, or a copy with a new one."""
    if request.request_id:
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    copy.request_id = _or_new("")
    return copy


class _Listing(Protocol):
    page_token: str


class _Page(Protocol):
    next_page_token: str


Answer = TypeVar("Answer", bound=_Page)


def _pages(request: _Listing, ask: Callable[[], Answer], items: Callable[[Answer], Sequence[Item]]) -> Iterator[Item]:
    """The items of all pages; `ask` sends `request`, whose page token advances."""
    while True:
        answer = ask()
        yield from items(answer)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return
