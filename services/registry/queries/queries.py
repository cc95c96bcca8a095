"""Query handlers: from the read tables as of a position, the present one by default, and from the log for a whole
fact."""

from __future__ import annotations

from typing import Any

from ratchet.decisions.lineage import is_stale
from ratchet.errors import InvalidInput, NotFound
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, Model, Series, Task
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import Log
from services.registry.projections.columns import timestamp_in
from services.registry.queries import graph, messages, rows_at
from services.registry.queries.as_of import AsOf, parse_as_of, position_of
from services.registry.queries.lookup import events_at, missing, train_command, unknown_dataset
from services.registry.queries.paging import Condition, PageStart, equal, select


class Queries:
    """Every read of the registry."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def list_datasets(self, request: pb.ListDatasetsRequest) -> pb.ListDatasetsResponse:
        start = PageStart.of(self._log, request)
        at = start.position
        conditions = [*equal(series=_series(request.series)), rows_at.not_ended("superseded_position", at)]
        if request.latest_only:
            conditions += [*equal(is_cut=0), rows_at.not_ended("latest_until", at)]
        elif not request.include_cuts:
            conditions += equal(is_cut=0)
        page = select(self._log, "dataset_history", request, start, conditions)
        events = events_at(self._log, [row["position"] for row in page.rows])
        return pb.ListDatasetsResponse(
            datasets=[
                messages.dataset(event, rows_at.was_latest(row, at))
                for event, row in zip(events, page.rows, strict=True)
            ],
            next_page_token=page.next_token,
        )

    def get_dataset(self, request: pb.GetDatasetRequest) -> pb.GetDatasetResponse:
        """The newest registration of a dataset, now or as of a position."""
        if not request.digest:
            raise InvalidInput(
                "a dataset is asked for by its digest; see ratchet data list", fields={"digest": "empty"}
            )
        as_of = parse_as_of(self._log, request)
        at = position_of(as_of)
        rows = self._log.query(
            "SELECT * FROM dataset_history WHERE digest = ? AND position <= ? ORDER BY position DESC LIMIT 1",
            (request.digest, at),
        )
        if not rows:
            raise as_of.missing(f"dataset {request.digest}") if as_of else unknown_dataset(request.digest)
        [event] = events_at(self._log, [rows[0]["position"]])
        return pb.GetDatasetResponse(dataset=messages.dataset(event, rows_at.was_latest(rows[0], at)))

    def list_trainings(self, request: pb.ListTrainingsRequest) -> pb.ListTrainingsResponse:
        start = PageStart.of(self._log, request)
        conditions = equal(
            lineage=_lineage(request.lineage), series=_series(request.series), session_id=request.session_id
        )
        if request.state:
            state = pb.TrainingState.Name(request.state).removeprefix("TRAINING_STATE_")
            conditions += _in_state(state, start.position)
        page = select(self._log, "training_history", request, start, conditions, "requested_position")
        return pb.ListTrainingsResponse(
            trainings=[messages.training(rows_at.training(row, start.position)) for row in page.rows],
            next_page_token=page.next_token,
        )

    def training(self, session_id: str) -> pb.Training:
        [row] = self._log.query("SELECT * FROM training_history WHERE session_id = ?", (session_id,))
        return messages.training(row)

    def get_model(self, request: pb.GetModelRequest) -> pb.GetModelResponse:
        name, as_of = str(Model.parse(request.model)), parse_as_of(self._log, request)
        return pb.GetModelResponse(model=self.model(name, as_of, with_record=True))

    def model(self, name: str, as_of: AsOf | None = None, *, with_record: bool = False) -> pb.Model:
        """A model, now or as of a position; NotFound if it did not exist."""
        row = self._row(name, as_of)
        return messages.model(row, self._record(row) if with_record else None)

    def _row(self, name: str, as_of: AsOf | None) -> rows_at.Row:
        row = rows_at.model(self._log, name, position_of(as_of))
        if row is None:
            raise as_of.missing(f"model {name}") if as_of else missing(self._log, "model", name)
        return row

    def _record(self, row: dict[str, Any]) -> model_pb2.ModelRecord:
        [event] = events_at(self._log, [row["position"]])
        trained = event.fact.message
        assert isinstance(trained, facts_pb2.ModelTrained)
        return trained.record

    def list_models(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        start = PageStart.of(self._log, request)
        task = str(Task.parse(request.task)) if request.task else ""
        conditions = equal(series=_series(request.series), task=task, lineage=_lineage(request.lineage))
        page = select(self._log, rows_at.MODELS, request, start, [*conditions, rows_at.valid_at(start.position)])
        return pb.ListModelsResponse(models=[messages.model(row) for row in page.rows], next_page_token=page.next_token)

    def compare_models(self, request: pb.CompareModelsRequest) -> pb.CompareModelsResponse:
        """From `model` to `other`: additional features and patterns of `other` are added."""
        rows = [self._row(str(Model.parse(name)), None) for name in (request.model, request.other)]
        first, second = (self._record(row) for row in rows)
        features = [[feature.name for feature in record.features] for record in (first, second)]
        patterns = [[use.pattern_id for use in record.patterns_used] for record in (first, second)]
        return pb.CompareModelsResponse(
            model=messages.model(rows[0]),
            other=messages.model(rows[1]),
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
            " AND position > ? ORDER BY position",
            (
                first["series"],
                first["task"],
                first["lineage"],
                second["lineage"],
                max(first["position"], second["position"]),
            ),
        )
        pair = {first["model"], second["model"]}
        found: dict[bytes, decision_pb2.Evidence] = {}
        for event in events_at(self._log, [row["position"] for row in rows]):
            for evidence in messages.evidence_of(messages.decision(event, with_bytes=True)):
                if {evidence.champion, evidence.contender} == pair:
                    found.setdefault(evidence.champion.encode() + evidence.packed, evidence)
        for evidence in found.values():
            evidence.ClearField("packed")
        return list(found.values())

    def get_champion(self, request: pb.GetChampionRequest) -> pb.GetChampionResponse:
        lineage, as_of = Lineage.parse(request.lineage), parse_as_of(self._log, request)
        at = position_of(as_of)
        decided = rows_at.newest_decision(self._log, str(lineage), at)
        if decided is None:
            raise as_of.missing(f"champion of {lineage}") if as_of else missing(self._log, "lineage", str(lineage))
        row = self._row(decided["model"] if decided["outcome"] == "PROMOTED" else decided["champion"], as_of)
        newest = rows_at.newest_version(self._log, str(lineage), at)
        sessions, bars = newest["version"] - row["version"], newest["labelled_bars"] - row["labelled_bars"]
        return pb.GetChampionResponse(
            model=messages.model(row),
            contenders=messages.listed(decided["contenders"]),
            last_labelled_bar=timestamp_in(decided["decided_through"]),
            versions=newest["version"],
            sessions_since=sessions,
            bars_since=bars,
            stale=is_stale(sessions, bars),
        )

    def get_symbol_best(self, request: pb.GetSymbolBestRequest) -> pb.GetSymbolBestResponse:
        series, task, as_of = Series.parse(request.series), Task.parse(request.task), parse_as_of(self._log, request)
        best = rows_at.symbol_best(self._log, str(series), str(task), position_of(as_of))
        if best is None:
            if as_of:
                raise as_of.missing(f"model for {series}/{task}")
            step = train_command(Lineage(series, task, "random-forest"))
            raise NotFound(f"there is no model for {series}/{task}; train one with {step}")
        [decided] = events_at(self._log, [best["from_position"]])
        return pb.GetSymbolBestResponse(model=self.model(best["model"], as_of), decision=messages.decision(decided))

    def list_decisions(self, request: pb.ListDecisionsRequest) -> pb.ListDecisionsResponse:
        task = str(Task.parse(request.task)) if request.task else ""
        conditions = equal(
            lineage=_lineage(request.lineage),
            series=_series(request.series),
            task=task,
            session_id=request.session_id,
        )
        page = select(self._log, "decision_history", request, PageStart.of(self._log, request), conditions)
        events = events_at(self._log, [row["position"] for row in page.rows])
        return pb.ListDecisionsResponse(
            decisions=[messages.decision(event, request.include_evidence_bytes) for event in events],
            next_page_token=page.next_token,
        )

    def get_lineage(self, request: pb.GetLineageRequest) -> pb.GetLineageResponse:
        as_of = parse_as_of(self._log, request)
        return graph.trace(self._log, request.subject, request.direction, request.depth, as_of)


def _in_state(state: str, position: int) -> list[Condition]:
    """Condition of sessions in a state as of a position: a session that ended later was open."""
    if state == "OPEN":
        return [rows_at.not_ended("ended_position", position)]
    return [*equal(state=state), Condition("ended_position <= ?", (position,))]


def _series(text: str) -> str:
    return str(Series.parse(text)) if text else ""


def _lineage(text: str) -> str:
    return str(Lineage.parse(text)) if text else ""


def _without(names: list[str], others: list[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]
