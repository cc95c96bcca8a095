"""Rows and events as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import RecordedEvent
from services.registry.projections.columns import timestamp_in

Row = dict[str, Any]


def dataset(event: RecordedEvent, latest: bool) -> pb.Dataset:
    registered = event.fact.message
    assert isinstance(registered, facts_pb2.DatasetRegistered)
    series = registered.symbol if registered.timeframe == "1d" else f"{registered.symbol}@{registered.timeframe}"
    return pb.Dataset(
        registered=registered,
        series=series,
        position=event.position,
        recorded_at=event.envelope.recorded_at,
        latest=latest,
    )


def model(row: Row, record: model_pb2.ModelRecord | None = None) -> pb.Model:
    """A row of rows_at.MODELS."""
    return pb.Model(
        name=row["model"],
        lineage=row["lineage"],
        version=row["version"],
        parent=row["parent"],
        session_id=row["session_id"],
        position=row["position"],
        recorded_at=timestamp_in(row["recorded_at"]),
        lineage_champion=bool(row["is_lineage_champion"]),
        symbol_best=bool(row["is_symbol_best"]),
        contender=bool(row["is_contender"]),
        verdict=_verdict(row["verdict"]),
        improvement_over_parent=_interval(row, "improvement_over_parent"),
        brier=row["brier"],
        accuracy=row["accuracy"],
        auc=row["auc"],
        skill_shown=bool(row["skill_shown"]),
        features=row["features"],
        patterns=row["patterns"],
        record=record,
        worse_than=listed(row["worse_than"]),
        market_time=timestamp_in(row["holdout_last_bar"]),
    )


def training(row: Row) -> pb.Training:
    """A row of training_history."""
    request = facts_pb2.TrainingRequested(
        session_id=row["session_id"],
        lineage=row["lineage"],
        dataset_digest=row["dataset_digest"],
        policy=row["policy"],
        seed=None if row["seed"] is None else int(row["seed"]),
        until=timestamp_in(row["until_bar"]),
    )
    return pb.Training(
        session_id=row["session_id"],
        lineage=row["lineage"],
        state=pb.TrainingState.Value(f"TRAINING_STATE_{row['state']}"),
        request=request,
        requested_position=row["requested_position"],
        requested_at=timestamp_in(row["requested_at"]),
        ended_at=timestamp_in(row["ended_at"]),
        model=row["model"],
        verdict=_verdict(row["verdict"]),
        promoted=bool(row["promoted"]),
        reason=row["reason"],
        message=row["message"],
        complexity_step=row["complexity_step"] or 0,
        cpu_seconds=row["cpu_seconds"] or 0.0,
        improvement_over_parent=_interval(row, "improvement_over_parent"),
        improvement_over_baseline=_interval(row, "improvement_over_baseline"),
        requested_by=row["requested_by"],
        worse_than=listed(row["worse_than"]),
    )


def decision(event: RecordedEvent, with_bytes: bool = False) -> pb.Decision:
    """A decision event; with the packed bytes of its evidence only on request."""
    found = pb.Decision(position=event.position, recorded_at=event.envelope.recorded_at, actor=event.envelope.actor)
    message = event.fact.message
    if isinstance(message, facts_pb2.ModelPromoted):
        found.promoted.CopyFrom(message)
    elif isinstance(message, facts_pb2.PromotionDeclined):
        found.declined.CopyFrom(message)
    if not with_bytes:
        for evidence in evidence_of(found):
            evidence.ClearField("packed")
    return found


def evidence_of(found: pb.Decision) -> list[decision_pb2.Evidence]:
    """The evidence of a promotion or a decline."""
    return list(found.promoted.evidence if found.WhichOneof("outcome") == "promoted" else found.declined.evidence)


def decisions(events: Iterable[RecordedEvent]) -> list[pb.Decision]:
    """The decisions in a batch of events, in its order."""
    kinds = (facts_pb2.ModelPromoted, facts_pb2.PromotionDeclined)
    return [decision(event) for event in events if isinstance(event.fact.message, kinds)]


def _verdict(word: str | None) -> decision_pb2.Verdict.ValueType:
    return decision_pb2.Verdict.Value(f"VERDICT_{word}") if word else decision_pb2.VERDICT_UNSPECIFIED


def listed(names: str) -> list[str]:
    """The names of a column: separated by a comma and a space."""
    return names.split(", ") if names else []


def _interval(row: Row, name: str) -> model_pb2.Interval | None:
    if row[name] is None:
        return None
    return model_pb2.Interval(value=row[name], low=row[f"{name}_low"], high=row[f"{name}_high"])
