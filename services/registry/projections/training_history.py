"""training_history: every training session, its end, its gain and its cost."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import (
    Limits,
    baselines_ahead,
    interval,
    metric,
    names,
    recorded_at,
    time_of,
    upsert,
    verdict_word,
)

_CREATE = """
CREATE TABLE {training_history} (
    session_id TEXT PRIMARY KEY,
    lineage TEXT NOT NULL,
    series TEXT NOT NULL,
    task TEXT NOT NULL,
    model_type TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    policy TEXT NOT NULL,
    seed TEXT,
    until_bar TEXT,
    state TEXT NOT NULL,
    requested_position BIGINT NOT NULL,
    requested_at TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    trained_position BIGINT,
    ended_position BIGINT,
    decided_position BIGINT,
    ended_at TEXT,
    model TEXT NOT NULL,
    parent TEXT NOT NULL,
    verdict TEXT,
    promoted BIGINT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    new_bars BIGINT,
    complexity_step BIGINT,
    cpu_seconds DOUBLE PRECISION,
    improvement_over_parent DOUBLE PRECISION,
    improvement_over_parent_low DOUBLE PRECISION,
    improvement_over_parent_high DOUBLE PRECISION,
    improvement_over_baseline DOUBLE PRECISION,
    improvement_over_baseline_low DOUBLE PRECISION,
    improvement_over_baseline_high DOUBLE PRECISION,
    worse_than TEXT NOT NULL
)
"""


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Requested: a row.

    Ended: the end. Trained: cost and baseline. Decided: the gain over the parent.
    """
    match event.fact.message:
        case facts_pb2.TrainingRequested() as fact:
            yield Statement(*upsert("training_history", _row(event, fact), "session_id"))
        case facts_pb2.TrainingCompleted() as fact:
            verdict, promoted = verdict_word(fact.verdict), int(fact.promoted)
            changes: dict[str, SqlValue] = {"model": fact.model, "verdict": verdict, "promoted": promoted}
            yield _ended(event, fact.session_id, "COMPLETED", changes)
        case facts_pb2.TrainingFailed() as fact:
            yield _ended(event, fact.session_id, "FAILED", {"reason": fact.reason, "message": fact.message})
        case facts_pb2.TrainingCancelled() as fact:
            yield _ended(event, fact.session_id, "CANCELLED", {"reason": fact.reason})
        case facts_pb2.ModelTrained(record=record):
            yield _update(record.session_id, {"trained_position": event.position} | _measured(record))
        case (
            facts_pb2.ModelPromoted(scope=decision_pb2.SCOPE_LINEAGE)
            | facts_pb2.PromotionDeclined(scope=decision_pb2.SCOPE_LINEAGE)
        ) as fact if fact.session_id:
            yield _update(fact.session_id, {"decided_position": event.position})
            yield from (_improvement(fact.session_id, evidence) for evidence in fact.evidence)


def _ended(event: RecordedEvent, session_id: str, state: str, changes: dict[str, SqlValue]) -> Statement:
    end: dict[str, SqlValue] = {"state": state, "ended_position": event.position, "ended_at": recorded_at(event)}
    return _update(session_id, end | changes)


def _update(session_id: str, changes: dict[str, SqlValue]) -> Statement:
    assignments = ", ".join(f"{name} = ?" for name in changes)
    return Statement(
        f"UPDATE {{training_history}} SET {assignments} WHERE session_id = ?", (*changes.values(), session_id)
    )


def _improvement(session_id: str, evidence: decision_pb2.Evidence) -> Statement:
    return Statement(
        "UPDATE {training_history} SET improvement_over_parent = ?, improvement_over_parent_low = ?,"
        " improvement_over_parent_high = ? WHERE session_id = ? AND model = ? AND parent = ?",
        (
            *interval(evidence.judgement, "improvement_percent"),
            session_id,
            evidence.contender,
            evidence.champion,
        ),
    )


def _measured(record: model_pb2.ModelRecord) -> dict[str, SqlValue]:
    value, low, high = improvement_over_baseline(record)
    return {
        "model": record.model,
        "parent": record.parent,
        "new_bars": record.windows.new_bars,
        "complexity_step": record.complexity_step,
        "cpu_seconds": record.cpu_seconds,
        "improvement_over_baseline": value,
        "improvement_over_baseline_low": low,
        "improvement_over_baseline_high": high,
        "worse_than": baselines_ahead(record),
    }


def improvement_over_baseline(record: model_pb2.ModelRecord) -> Limits:
    """Relative Brier improvement over the best baseline in percent, on the holdout.

    The paired one with its interval if recorded (`improvement_percent` of the baseline with the lowest Brier score);
    else the relative difference of the two scores, without an interval.
    """
    own = metric(record.metrics, "brier")[0]
    scored = [(metric(baseline.metrics, "brier")[0], baseline) for baseline in record.baselines]
    known = [(brier, baseline) for brier, baseline in scored if brier]
    if not known:
        return None, None, None
    brier, best = min(known, key=lambda pair: pair[0])
    paired = metric(best.metrics, "improvement_percent")
    if paired[0] is not None or own is None:
        return paired
    return 100.0 * (brier - own) / brier, None, None


def _row(event: RecordedEvent, fact: facts_pb2.TrainingRequested) -> dict[str, SqlValue]:
    series, task, model_type = names(fact.lineage)
    return {
        "session_id": fact.session_id,
        "lineage": fact.lineage,
        "series": series,
        "task": task,
        "model_type": model_type,
        "dataset_digest": fact.dataset_digest,
        "policy": fact.policy,
        "seed": str(fact.seed) if fact.HasField("seed") else None,
        "until_bar": time_of(fact, "until"),
        "state": "OPEN",
        "requested_position": event.position,
        "requested_at": recorded_at(event),
        "requested_by": event.envelope.actor,
        "model": "",
        "parent": "",
        "promoted": 0,
        "reason": "",
        "message": "",
        "worse_than": "",
    }


TABLE = Table(
    name="training_history",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {training_history}_by_position ON {training_history} (requested_position)",
        "CREATE INDEX {training_history}_by_lineage ON {training_history} (lineage, requested_position)",
        "CREATE INDEX {training_history}_by_series ON {training_history} (series, requested_position)",
        "CREATE INDEX {training_history}_by_dataset ON {training_history} (dataset_digest)",
        "CREATE INDEX {training_history}_by_state ON {training_history} (state, requested_position)",
    ),
    project=project,
)
