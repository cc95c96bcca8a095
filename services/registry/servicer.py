"""The gRPC servicer of the registry, a thin layer over commands and queries."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import grpc

from ratchet.events.v1 import facts_pb2
from ratchet.names import Series
from ratchet.registry.v1 import registry_pb2 as pb
from ratchet.registry.v1 import registry_pb2_grpc
from services.platform.interceptors import Caller
from services.registry.eventlog import CommitResult, Log, LogApplication
from services.registry.handlers.commands import Commands
from services.registry.queries import messages
from services.registry.queries.as_of import AsOf
from services.registry.queries.lookup import require_dataset
from services.registry.queries.queries import Queries
from services.registry.queries.session_inputs import session_inputs

NAME = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name


def new_session_id() -> str:
    return uuid.uuid4().hex[:16]


class RegistryService(registry_pb2_grpc.RegistryServiceServicer):
    """Lineages, champions and decisions over one log."""

    def __init__(self, log: Log, application: LogApplication, new_id: Callable[[], str] = new_session_id) -> None:
        self._log = log
        self._commands = Commands(log, application, new_id)
        self._queries = Queries(log)

    def RegisterDataset(
        self, request: pb.RegisterDatasetRequest, context: grpc.ServicerContext
    ) -> pb.RegisterDatasetResponse:
        event = self._commands.register_dataset(request, Caller.of(context))
        series = Series.parse(f"{request.dataset.symbol}@{request.dataset.timeframe or '1d'}")
        row = require_dataset(self._log, request.dataset.digest, series)
        return pb.RegisterDatasetResponse(dataset=messages.dataset(event, bool(row["is_latest"])))

    def ListDatasets(self, request: pb.ListDatasetsRequest, context: grpc.ServicerContext) -> pb.ListDatasetsResponse:
        return self._queries.list_datasets(request)

    def GetDataset(self, request: pb.GetDatasetRequest, context: grpc.ServicerContext) -> pb.GetDatasetResponse:
        return self._queries.get_dataset(request)

    def RequestTraining(
        self, request: pb.RequestTrainingRequest, context: grpc.ServicerContext
    ) -> pb.RequestTrainingResponse:
        committed = self._commands.request_training(request, Caller.of(context))
        return pb.RequestTrainingResponse(training=self._training(committed))

    def FailTraining(self, request: pb.FailTrainingRequest, context: grpc.ServicerContext) -> pb.FailTrainingResponse:
        committed = self._commands.fail_training(request, Caller.of(context))
        return pb.FailTrainingResponse(training=self._training(committed))

    def CancelTraining(
        self, request: pb.CancelTrainingRequest, context: grpc.ServicerContext
    ) -> pb.CancelTrainingResponse:
        committed = self._commands.cancel_training(request, Caller.of(context))
        return pb.CancelTrainingResponse(training=self._training(committed))

    def RecordTraining(
        self, request: pb.RecordTrainingRequest, context: grpc.ServicerContext
    ) -> pb.RecordTrainingResponse:
        committed = self._commands.record_training(request, Caller.of(context))
        trained = committed.events[0].fact.message
        assert isinstance(trained, facts_pb2.ModelTrained)
        as_of = AsOf(committed.events[-1].position, "its end")
        return pb.RecordTrainingResponse(
            model=self._queries.model(trained.record.model, as_of, with_record=True),
            decisions=messages.decisions(committed.events),
            training=self._queries.training(trained.record.session_id),
        )

    def ListTrainings(
        self, request: pb.ListTrainingsRequest, context: grpc.ServicerContext
    ) -> pb.ListTrainingsResponse:
        return self._queries.list_trainings(request)

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.GetModelResponse:
        return self._queries.get_model(request)

    def ListModels(self, request: pb.ListModelsRequest, context: grpc.ServicerContext) -> pb.ListModelsResponse:
        return self._queries.list_models(request)

    def CompareModels(
        self, request: pb.CompareModelsRequest, context: grpc.ServicerContext
    ) -> pb.CompareModelsResponse:
        return self._queries.compare_models(request)

    def GetChampion(self, request: pb.GetChampionRequest, context: grpc.ServicerContext) -> pb.GetChampionResponse:
        return self._queries.get_champion(request)

    def GetSymbolBest(
        self, request: pb.GetSymbolBestRequest, context: grpc.ServicerContext
    ) -> pb.GetSymbolBestResponse:
        return self._queries.get_symbol_best(request)

    def PromoteModel(self, request: pb.PromoteModelRequest, context: grpc.ServicerContext) -> pb.PromoteModelResponse:
        committed = self._commands.promote_model(request, Caller.of(context))
        return pb.PromoteModelResponse(decision=messages.decision(committed.events[0]))

    def RollbackChampion(
        self, request: pb.RollbackChampionRequest, context: grpc.ServicerContext
    ) -> pb.RollbackChampionResponse:
        committed = self._commands.rollback_champion(request, Caller.of(context))
        return pb.RollbackChampionResponse(decision=messages.decision(committed.events[0]))

    def GetSessionInputs(
        self, request: pb.GetSessionInputsRequest, context: grpc.ServicerContext
    ) -> pb.GetSessionInputsResponse:
        return session_inputs(self._log, self._queries, request)

    def ListDecisions(
        self, request: pb.ListDecisionsRequest, context: grpc.ServicerContext
    ) -> pb.ListDecisionsResponse:
        return self._queries.list_decisions(request)

    def GetLineage(self, request: pb.GetLineageRequest, context: grpc.ServicerContext) -> pb.GetLineageResponse:
        return self._queries.get_lineage(request)

    def _training(self, committed: CommitResult) -> pb.Training:
        return self._queries.training(committed.events[0].stream.removeprefix("session/"))
