"""Query handlers: from the read tables, and from the log for a whole fact.

With `as_of` each answers from the rows and events as of that position (rows_as_of.py).
"""

from __future__ import annotations

from typing import Any

from ratchet.errors import InvalidInput, NotFound
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, Model, Series, Task
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.domain.bar_times import seconds_of, timestamp
from services.registry.domain.lineage import is_stale
from services.registry.domain.words import train_command
from services.registry.eventlog import Log
from services.registry.handlers.states import States
from services.registry.queries import graph, messages, rows_as_of
from services.registry.queries.as_of import AsOf, parse_as_of
from services.registry.queries.lookup import events_at, missing, require_model, unknown_dataset
from services.registry.queries.paging import Condition, PageStart, equal, select

_LATEST = 2**63 - 1


class Queries:
    """Every read of the registry."""

    def __init__(self, log: Log, states: States) -> None:
        self._log = log
        self._states = states

    def list_datasets(self, request: pb.ListDatasetsRequest) -> pb.ListDatasetsResponse:
        start = PageStart.of(self._log, request)
        conditions = [*equal(series=_series(request.series)), *_not_ended("superseded_position", start.as_of)]
        if request.latest_only:
            conditions += [*equal(is_cut=0), *_not_ended("latest_until", start.as_of)]
        elif not request.include_cuts:
            conditions += equal(is_cut=0)
        page = select(self._log, "dataset_history", request, start, conditions)
        rows = rows_as_of.datasets(page.rows, start.as_of.position) if start.as_of else page.rows
        events = events_at(self._log, [row["position"] for row in rows])
        return pb.ListDatasetsResponse(
            datasets=[messages.dataset(event, bool(row["is_latest"])) for event, row in zip(events, rows, strict=True)],
            next_page_token=page.next_token,
        )

    def get_dataset(self, request: pb.GetDatasetRequest) -> pb.GetDatasetResponse:
        """The newest registration of a dataset, now or as of a position."""
        if not request.digest:
            raise InvalidInput(
                "a dataset is asked for by its digest; see ratchet data list", fields={"digest": "empty"}
            )
        as_of = parse_as_of(self._log, request)
        rows = self._log.query(
            "SELECT * FROM dataset_history WHERE digest = ? AND position <= ? ORDER BY position DESC LIMIT 1",
            (request.digest, as_of.position if as_of else _LATEST),
        )
        if not rows:
            raise as_of.missing(f"dataset {request.digest}") if as_of else unknown_dataset(request.digest)
        [row] = rows_as_of.datasets(rows, as_of.position) if as_of else rows
        [event] = events_at(self._log, [row["position"]])
        return pb.GetDatasetResponse(dataset=messages.dataset(event, bool(row["is_latest"])))

    def list_trainings(self, request: pb.ListTrainingsRequest) -> pb.ListTrainingsResponse:
        start = PageStart.of(self._log, request)
        conditions = equal(
            lineage=_lineage(request.lineage), series=_series(request.series), session_id=request.session_id
        )
        if request.state:
            conditions += _in_state(pb.TrainingState.Name(request.state).removeprefix("TRAINING_STATE_"), start.as_of)
        page = select(self._log, "training_history", request, start, conditions, "requested_position")
        rows = rows_as_of.trainings(page.rows, start.as_of.position) if start.as_of else page.rows
        return pb.ListTrainingsResponse(
            trainings=[messages.training(row) for row in rows], next_page_token=page.next_token
        )

    def training(self, session_id: str) -> pb.Training:
        [row] = self._log.query("SELECT * FROM training_history WHERE session_id = ?", (session_id,))
        return messages.training(row)

    def model_row(self, name: str) -> dict[str, Any]:
        return require_model(self._log, name)

    def get_model(self, request: pb.GetModelRequest) -> pb.GetModelResponse:
        name, as_of = str(Model.parse(request.model)), parse_as_of(self._log, request)
        row = self._model(name, as_of)
        return pb.GetModelResponse(model=messages.model(row, self._record(row)))

    def _model(self, name: str, as_of: AsOf | None) -> dict[str, Any]:
        """The row of a model, now or as of a position; NotFound if it did not exist."""
        row = require_model(self._log, name)
        if as_of is None:
            return row
        if row["position"] > as_of.position:
            raise as_of.missing(f"model {name}")
        return rows_as_of.models(self._log, [row], as_of.position)[0]

    def _record(self, row: dict[str, Any]) -> model_pb2.ModelRecord:
        [event] = events_at(self._log, [row["position"]])
        trained = event.fact.message
        assert isinstance(trained, facts_pb2.ModelTrained)
        return trained.record

    def list_models(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        start = PageStart.of(self._log, request)
        task = str(Task.parse(request.task)) if request.task else ""
        conditions = equal(series=_series(request.series), task=task, lineage=_lineage(request.lineage))
        page = select(self._log, "model_registry", request, start, conditions)
        rows = rows_as_of.models(self._log, page.rows, start.as_of.position) if start.as_of else page.rows
        return pb.ListModelsResponse(models=[messages.model(row) for row in rows], next_page_token=page.next_token)

    def compare_models(self, request: pb.CompareModelsRequest) -> pb.CompareModelsResponse:
        """From `model` to `other`: additional features and patterns of `other` are added."""
        rows = [require_model(self._log, str(Model.parse(name))) for name in (request.model, request.other)]
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
        if as_of is not None:
            return self._champion_as_of(lineage, as_of)
        state = self._states.lineage(lineage)
        if not state.champion:
            raise missing(self._log, "lineage", str(lineage))
        return pb.GetChampionResponse(
            model=messages.model(require_model(self._log, state.champion_name)),
            contenders=state.contender_names,
            last_labelled_bar=timestamp(state.decided_through),
            versions=state.versions,
            sessions_since=state.sessions_since,
            bars_since=state.bars_since,
            stale=state.stale,
        )

    def _champion_as_of(self, lineage: Lineage, as_of: AsOf) -> pb.GetChampionResponse:
        name = rows_as_of.champion(self._log, str(lineage), as_of.position)
        decided = rows_as_of.newest_decision(self._log, str(lineage), as_of.position)
        if not name or decided is None:
            raise as_of.missing(f"champion of {lineage}")
        row, fact = self._model(name, as_of), decided.fact.message
        age = rows_as_of.age(self._log, row, as_of.position)
        return pb.GetChampionResponse(
            model=messages.model(row),
            contenders=rows_as_of.contenders_after(decided),
            last_labelled_bar=timestamp(seconds_of(fact, "decided_through")),
            versions=age.versions,
            sessions_since=age.sessions,
            bars_since=age.bars,
            stale=is_stale(age.sessions, age.bars),
        )

    def get_symbol_best(self, request: pb.GetSymbolBestRequest) -> pb.GetSymbolBestResponse:
        series, task, as_of = Series.parse(request.series), Task.parse(request.task), parse_as_of(self._log, request)
        best = (
            rows_as_of.symbol_best(self._log, str(series), str(task), as_of.position)
            if as_of
            else self._states.symbol(series, task).best
        )
        if not best:
            if as_of:
                raise as_of.missing(f"model for {series}/{task}")
            step = train_command(Lineage(series, task, "random-forest"))
            raise NotFound(f"there is no model for {series}/{task}; train one with {step}")
        [row] = self._log.query(
            "SELECT reason FROM champion_history JOIN decision_history ON position = from_position"
            " WHERE champion_history.scope = 'SYMBOL' AND champion_history.series = ? AND champion_history.task = ?"
            " AND champion_history.model = ? AND from_position <= ? ORDER BY from_position DESC LIMIT 1",
            (str(series), str(task), best, as_of.position if as_of else _LATEST),
        )
        return pb.GetSymbolBestResponse(model=messages.model(self._model(best, as_of)), reason=row["reason"])

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


def _not_ended(until: str, as_of: AsOf | None) -> list[Condition]:
    """Condition of a row that has not ended, now or as of a position.

    `until` is the column with the position of its end.
    """
    if as_of is None:
        return [Condition(f"{until} IS NULL")]
    return [Condition(f"({until} IS NULL OR {until} > ?)", (as_of.position,))]


def _in_state(state: str, as_of: AsOf | None) -> list[Condition]:
    """Condition of sessions in a state, now or as of a position: a session that ended later was open."""
    if as_of is None:
        return equal(state=state)
    if state == "OPEN":
        return _not_ended("ended_position", as_of)
    return [Condition("state = ? AND ended_position <= ?", (state, as_of.position))]


def _series(text: str) -> str:
    return str(Series.parse(text)) if text else ""


def _lineage(text: str) -> str:
    return str(Lineage.parse(text)) if text else ""


def _without(names: list[str], others: list[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]
