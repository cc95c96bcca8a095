"""The reads: from the read tables, and from the log where the whole fact is asked for."""

from __future__ import annotations

from typing import Any

from ratchet.errors import NotBuilt, NotFound
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, Model, Series, Task
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.domain.moments import timestamp
from services.registry.domain.words import train_command
from services.registry.log import Log
from services.registry.log.database import SqlValue
from services.registry.service import views
from services.registry.service.lookup import events_at, missing, require_model
from services.registry.service.paging import select
from services.registry.service.states import States


class Queries:
    """Every read of the registry."""

    def __init__(self, log: Log, states: States) -> None:
        self._log = log
        self._states = states

    def list_datasets(self, request: pb.ListDatasetsRequest) -> pb.ListDatasetsResponse:
        _present_only("ListDatasets", request)
        conditions: dict[str, SqlValue] = {"series": _series(request.series)}
        if request.latest_only:
            conditions["is_latest"] = 1
        elif not request.include_cuts:
            conditions["is_cut"] = 0
        page = select(self._log, "dataset_history", request, conditions)
        events = events_at(self._log, [row["position"] for row in page.rows])
        return pb.ListDatasetsResponse(
            datasets=[
                views.dataset(event, bool(row["is_latest"])) for event, row in zip(events, page.rows, strict=True)
            ],
            next_page_token=page.next_token,
        )

    def list_trainings(self, request: pb.ListTrainingsRequest) -> pb.ListTrainingsResponse:
        state = pb.TrainingState.Name(request.state).removeprefix("TRAINING_STATE_") if request.state else ""
        conditions: dict[str, SqlValue] = {
            "lineage": _lineage(request.lineage),
            "series": _series(request.series),
            "state": state,
            "session_id": request.session_id,
        }
        page = select(self._log, "training_history", request, conditions, "requested_position")
        return pb.ListTrainingsResponse(
            trainings=[views.training(row) for row in page.rows], next_page_token=page.next_token
        )

    def training(self, session_id: str) -> pb.Training:
        [row] = self._log.query("SELECT * FROM training_history WHERE session_id = ?", (session_id,))
        return views.training(row)

    def model_row(self, name: str) -> dict[str, Any]:
        return require_model(self._log, name)

    def get_model(self, request: pb.GetModelRequest) -> pb.GetModelResponse:
        row = require_model(self._log, str(Model.parse(request.model)))
        return pb.GetModelResponse(model=views.model(row, self._record(row)))

    def _record(self, row: dict[str, Any]) -> model_pb2.ModelRecord:
        [event] = events_at(self._log, [row["position"]])
        trained = event.fact.message
        assert isinstance(trained, facts_pb2.ModelTrained)
        return trained.record

    def list_models(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        _present_only("ListModels", request)
        conditions: dict[str, SqlValue] = {
            "series": _series(request.series),
            "task": str(Task.parse(request.task)) if request.task else "",
            "lineage": _lineage(request.lineage),
        }
        page = select(self._log, "model_registry", request, conditions)
        return pb.ListModelsResponse(models=[views.model(row) for row in page.rows], next_page_token=page.next_token)

    def compare_models(self, request: pb.CompareModelsRequest) -> pb.CompareModelsResponse:
        """From `model` to `other`: what `other` has more is added."""
        rows = [require_model(self._log, str(Model.parse(name))) for name in (request.model, request.other)]
        first, second = (self._record(row) for row in rows)
        features = [[feature.name for feature in record.features] for record in (first, second)]
        patterns = [[use.pattern_id for use in record.patterns_used] for record in (first, second)]
        return pb.CompareModelsResponse(
            model=views.model(rows[0]),
            other=views.model(rows[1]),
            evidence=self._evidence(*rows),
            features_added=_without(features[1], features[0]),
            features_removed=_without(features[0], features[1]),
            patterns_added=_without(patterns[1], patterns[0]),
            patterns_removed=_without(patterns[0], patterns[1]),
        )

    def _evidence(self, first: dict[str, Any], second: dict[str, Any]) -> list[decision_pb2.Evidence]:
        """Every recorded comparison of two models, oldest first, each once."""
        rows = self._log.query(
            "SELECT position FROM decision_history WHERE series = ? AND task = ? AND lineage IN (?, ?)"
            " ORDER BY position",
            (first["series"], first["task"], first["lineage"], second["lineage"]),
        )
        pair = {first["model"], second["model"]}
        found: dict[bytes, decision_pb2.Evidence] = {}
        for event in events_at(self._log, [row["position"] for row in rows]):
            for evidence in views.evidence_of(views.decision(event, with_bytes=True)):
                if {evidence.champion, evidence.contender} == pair:
                    found.setdefault(evidence.champion.encode() + evidence.packed, evidence)
        for evidence in found.values():
            evidence.ClearField("packed")
        return list(found.values())

    def get_champion(self, request: pb.GetChampionRequest) -> pb.GetChampionResponse:
        _present_only("GetChampion", request)
        lineage = Lineage.parse(request.lineage)
        state = self._states.lineage(lineage)
        if not state.champion:
            raise missing(self._log, "lineage", str(lineage))
        return pb.GetChampionResponse(
            model=views.model(require_model(self._log, state.champion_name)),
            contenders=state.contender_names,
            last_labelled_bar=timestamp(state.decided_through),
            versions=state.versions,
            sessions_since=state.sessions_since,
            bars_since=state.bars_since,
            stale=state.stale,
        )

    def get_symbol_best(self, request: pb.GetSymbolBestRequest) -> pb.GetSymbolBestResponse:
        _present_only("GetSymbolBest", request)
        series, task = Series.parse(request.series), Task.parse(request.task)
        state = self._states.symbol(series, task)
        if not state.best:
            step = train_command(Lineage(series, task, "random-forest"))
            raise NotFound(f"there is no model for {series}/{task}; train one with {step}")
        rows = self._log.query(
            "SELECT reason FROM decision_history WHERE scope = 'SYMBOL' AND outcome = 'PROMOTED' AND series = ?"
            " AND task = ? AND model = ? ORDER BY position DESC LIMIT 1",
            (str(series), str(task), state.best),
        )
        return pb.GetSymbolBestResponse(
            model=views.model(require_model(self._log, state.best)), reason=rows[0]["reason"]
        )

    def list_decisions(self, request: pb.ListDecisionsRequest) -> pb.ListDecisionsResponse:
        conditions: dict[str, SqlValue] = {
            "lineage": _lineage(request.lineage),
            "series": _series(request.series),
            "task": str(Task.parse(request.task)) if request.task else "",
            "session_id": request.session_id,
        }
        page = select(self._log, "decision_history", request, conditions)
        events = events_at(self._log, [row["position"] for row in page.rows])
        return pb.ListDecisionsResponse(
            decisions=[views.decision(event, request.include_evidence_bytes) for event in events],
            next_page_token=page.next_token,
        )


def _present_only(method: str, request: Any) -> None:
    if request.HasField("as_of"):
        raise NotBuilt(f"{method} as_of is not served yet; ask without as_of for the present")


def _series(text: str) -> str:
    return str(Series.parse(text)) if text else ""


def _lineage(text: str) -> str:
    return str(Lineage.parse(text)) if text else ""


def _without(names: list[str], others: list[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]
