"""model_registry: every version of every lineage, with its scores, its verdict and its champion flags."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import (
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
CREATE TABLE {model_registry} (
    model TEXT PRIMARY KEY,
    lineage TEXT NOT NULL,
    series TEXT NOT NULL,
    task TEXT NOT NULL,
    model_type TEXT NOT NULL,
    version BIGINT NOT NULL,
    parent TEXT NOT NULL,
    session_id TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    position BIGINT NOT NULL,
    recorded_at TEXT NOT NULL,
    is_lineage_champion BIGINT NOT NULL,
    is_symbol_best BIGINT NOT NULL,
    is_contender BIGINT NOT NULL,
    verdict TEXT,
    improvement_over_parent DOUBLE PRECISION,
    improvement_over_parent_low DOUBLE PRECISION,
    improvement_over_parent_high DOUBLE PRECISION,
    improvement_bars BIGINT,
    improvement_position BIGINT,
    brier DOUBLE PRECISION,
    brier_low DOUBLE PRECISION,
    brier_high DOUBLE PRECISION,
    accuracy DOUBLE PRECISION,
    accuracy_low DOUBLE PRECISION,
    accuracy_high DOUBLE PRECISION,
    auc DOUBLE PRECISION,
    auc_low DOUBLE PRECISION,
    auc_high DOUBLE PRECISION,
    skill_shown BIGINT NOT NULL,
    worse_than TEXT NOT NULL,
    features BIGINT NOT NULL,
    patterns BIGINT NOT NULL,
    candidate TEXT,
    complexity_step BIGINT NOT NULL,
    fit_label_end TEXT,
    holdout_first_bar TEXT,
    holdout_last_bar TEXT,
    holdout_bars BIGINT NOT NULL,
    artifact_digest TEXT NOT NULL,
    artifact_bytes BIGINT NOT NULL,
    artifact_format TEXT NOT NULL,
    new_bars BIGINT NOT NULL,
    seed TEXT NOT NULL,
    cpu_seconds DOUBLE PRECISION NOT NULL
)
"""


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Trained: a row. Completed: its verdict. Promoted and declined: flags, verdict and improvement over the parent."""
    match event.fact.message:
        case facts_pb2.ModelTrained(record=record):
            yield Statement(*upsert("model_registry", _row(event, record), "model"))
        case facts_pb2.ModelPromoted(scope=decision_pb2.SCOPE_LINEAGE) as fact:
            yield _lower("is_lineage_champion", fact.lineage)
            yield _lower("is_contender", fact.lineage)
            yield Statement("UPDATE {model_registry} SET is_lineage_champion = 1 WHERE model = ?", (fact.model,))
            if fact.decided_by == decision_pb2.DECIDED_BY_GATE:
                yield _verdict(fact.model, decision_pb2.VERDICT_PROMOTED)
            yield from (_improvement(event, evidence) for evidence in fact.evidence)
        case facts_pb2.ModelPromoted(scope=decision_pb2.SCOPE_SYMBOL) as fact:
            series, task, _ = names(fact.lineage)
            yield Statement(
                "UPDATE {model_registry} SET is_symbol_best = 0 WHERE series = ? AND task = ? AND is_symbol_best = 1",
                (series, task),
            )
            yield Statement("UPDATE {model_registry} SET is_symbol_best = 1 WHERE model = ?", (fact.model,))
        case facts_pb2.PromotionDeclined(scope=decision_pb2.SCOPE_LINEAGE) as fact:
            yield _lower("is_contender", fact.lineage)
            for kept in fact.contenders_kept:
                yield Statement("UPDATE {model_registry} SET is_contender = 1 WHERE model = ?", (kept,))
            yield _verdict(fact.model, fact.verdict)
            yield from (_improvement(event, evidence) for evidence in fact.evidence)
        case facts_pb2.TrainingCompleted() as fact:
            yield _verdict(fact.model, fact.verdict)


def _lower(flag: str, lineage: str) -> Statement:
    """Clears a flag of a lineage's rows; only rows with the flag are touched, independent of the lineage's length."""
    return Statement(f"UPDATE {{model_registry}} SET {flag} = 0 WHERE lineage = ? AND {flag} = 1", (lineage,))


def _verdict(model: str, verdict: decision_pb2.Verdict.ValueType) -> Statement:
    return Statement("UPDATE {model_registry} SET verdict = ? WHERE model = ?", (verdict_word(verdict), model))


def _improvement(event: RecordedEvent, evidence: decision_pb2.Evidence) -> Statement:
    """The newest paired comparison of a model with its parent, and the position of its decision."""
    return Statement(
        "UPDATE {model_registry} SET improvement_over_parent = ?, improvement_over_parent_low = ?,"
        " improvement_over_parent_high = ?, improvement_bars = ?, improvement_position = ?"
        " WHERE model = ? AND parent = ?",
        (
            *interval(evidence.judgement, "improvement_percent"),
            evidence.judgement.bars,
            event.position,
            evidence.contender,
            evidence.champion,
        ),
    )


def _row(event: RecordedEvent, record: model_pb2.ModelRecord) -> dict[str, SqlValue]:
    series, task, model_type = names(record.lineage)
    brier, accuracy, auc = (metric(record.metrics, name) for name in ("brier", "accuracy", "auc"))
    chosen = next((candidate.kind for candidate in record.candidates if candidate.chosen), None)
    return {
        "model": record.model,
        "lineage": record.lineage,
        "series": series,
        "task": task,
        "model_type": model_type,
        "version": record.version,
        "parent": record.parent,
        "session_id": record.session_id,
        "dataset_digest": record.dataset_digest,
        "position": event.position,
        "recorded_at": recorded_at(event),
        "is_lineage_champion": 0,
        "is_symbol_best": 0,
        "is_contender": 0,
        "brier": brier[0],
        "brier_low": brier[1],
        "brier_high": brier[2],
        "accuracy": accuracy[0],
        "accuracy_low": accuracy[1],
        "accuracy_high": accuracy[2],
        "auc": auc[0],
        "auc_low": auc[1],
        "auc_high": auc[2],
        "skill_shown": int(record.skill_shown),
        "worse_than": baselines_ahead(record),
        "features": len(record.features),
        "patterns": len(record.patterns_used),
        "candidate": model_pb2.CandidateKind.Name(chosen).removeprefix("CANDIDATE_KIND_") if chosen else None,
        "complexity_step": record.complexity_step,
        "fit_label_end": time_of(record.windows, "fit_label_end"),
        "holdout_first_bar": time_of(record.windows.holdout, "first_bar"),
        "holdout_last_bar": time_of(record.windows.holdout, "last_bar"),
        "holdout_bars": record.windows.holdout.rows,
        "artifact_digest": record.artifact.digest,
        "artifact_bytes": record.artifact.size_bytes,
        "artifact_format": record.artifact.format,
        "new_bars": record.windows.new_bars,
        "seed": str(record.seed),
        "cpu_seconds": record.cpu_seconds,
    }


TABLE = Table(
    name="model_registry",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {model_registry}_by_position ON {model_registry} (position)",
        "CREATE INDEX {model_registry}_by_lineage ON {model_registry} (lineage, position, new_bars)",
        "CREATE INDEX {model_registry}_by_series ON {model_registry} (series, position)",
        "CREATE INDEX {model_registry}_by_task ON {model_registry} (series, task, position)",
        "CREATE INDEX {model_registry}_by_parent ON {model_registry} (parent)",
        "CREATE INDEX {model_registry}_by_dataset ON {model_registry} (dataset_digest)",
        "CREATE INDEX {model_registry}_champion ON {model_registry} (lineage) WHERE is_lineage_champion = 1",
        "CREATE INDEX {model_registry}_contenders ON {model_registry} (lineage) WHERE is_contender = 1",
        "CREATE INDEX {model_registry}_champions ON {model_registry} (series, task) WHERE is_lineage_champion = 1",
        "CREATE INDEX {model_registry}_best ON {model_registry} (series, task) WHERE is_symbol_best = 1",
    ),
    project=project,
)
