"""A client of the registry that also plays the trainer, with a planted history."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from ratchet.client.error_mapping import from_rpc
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.events.v1 import decision_pb2
from ratchet.names import Lineage
from ratchet.registry.v1 import registry_pb2 as pb
from ratchet.registry.v1 import registry_pb2_grpc
from tests.support.datasets import dataset
from tests.support.registry_samples import evidence, record, stamp

FOREST, LOGISTIC = "AAPL/range/random-forest", "AAPL/range/logistic"


class Registry:
    """A client that speaks in the words of the tests; refusals come as RatchetError."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = registry_pb2_grpc.RegistryServiceStub(self._channel)
        self.log = eventlog_pb2_grpc.EventLogServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def call(self, request: Message, actor: str = "tester") -> Any:
        """Call the method that takes `request`, with a fresh request id unless it has one."""
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:  # type: ignore[attr-defined]
            request.request_id = uuid.uuid4().hex  # type: ignore[attr-defined]
        method: Callable[..., Any] = getattr(self._stub, request.DESCRIPTOR.name.removesuffix("Request"))
        try:
            return method(request, timeout=20, metadata=(("ratchet-actor", actor),))
        except grpc.RpcError as error:
            raise from_rpc(error, "the registry") from error

    def import_bars(self, series: str = "AAPL", digest: str = "d1", rows: int = 1000, **more: Any) -> pb.Dataset:
        fact = dataset(series, digest, rows, **more)
        found: pb.Dataset = self.call(pb.RegisterDatasetRequest(dataset=fact)).dataset
        return found

    def request_training(self, lineage: str, digest: str = "d1", policy: str = "") -> str:
        asked = pb.RequestTrainingRequest(lineage=lineage, dataset_digest=digest, policy=policy)
        return str(self.call(asked).training.session_id)

    def champion(self, lineage: str) -> pb.GetChampionResponse:
        found: pb.GetChampionResponse = self.call(pb.GetChampionRequest(lineage=lineage))
        return found

    def best(self, series: str = "AAPL", task: str = "range") -> pb.GetSymbolBestResponse:
        found: pb.GetSymbolBestResponse = self.call(pb.GetSymbolBestRequest(series=series, task=task))
        return found

    def record(self, request: pb.RecordTrainingRequest) -> pb.RecordTrainingResponse:
        found: pb.RecordTrainingResponse = self.call(request)
        return found

    def train(
        self, lineage: str, fit_end: int, last: int, gain: float = 0.0, against_best: float | None = None
    ) -> pb.RecordTrainingResponse:
        """One session: a model that is better by `gain` than the champion on bars fit_end + 1 … last.

        Against a symbol's best of another lineage, model and champion are both better by `against_best`; None: they
        share no bar with it.
        """
        return self.record(self.trained(lineage, fit_end, last, gain, against_best))

    def trained(
        self, lineage: str, fit_end: int, last: int, gain: float = 0.0, against_best: float | None = None
    ) -> pb.RecordTrainingRequest:
        """What a trainer sends at the end of a session that it asked for."""
        series = str(Lineage.parse(lineage).series)
        session_id = self.request_training(lineage)
        known = self.call(pb.ListModelsRequest(lineage=lineage)).models
        champion = next((model.name for model in known if model.lineage_champion), "")
        best = next((m.name for m in self.call(pb.ListModelsRequest(series=series)).models if m.symbol_best), "")
        request = pb.RecordTrainingRequest(
            session_id=session_id,
            record=record(fit_end, {"p1": fit_end}, parent=champion),
            expected_champion=champion,
            expected_symbol_best=best,
            last_labelled_bar=stamp(last),
        )
        if champion:
            request.comparisons.add(champion=champion, packed=evidence(fit_end + 1, last, gain))
        if best not in ("", champion):
            end = fit_end if against_best is None else last
            packed = evidence(fit_end + 1, end, against_best or 0.0)
            for contender in ("", *([champion] if champion else [])):
                request.symbol_comparisons.add(champion=best, contender=contender, packed=packed)
        return request


def kinds(response: pb.RecordTrainingResponse) -> list[tuple[str | None, int]]:
    """Outcome and scope of each decision."""
    return [
        (
            found.WhichOneof("outcome"),
            found.promoted.scope or found.declined.scope or decision_pb2.SCOPE_UNSPECIFIED,
        )
        for found in response.decisions
    ]
