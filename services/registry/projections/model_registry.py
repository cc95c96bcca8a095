"""model_registry: every version of every lineage, with its scores; model_states says what became of it.

`labelled_bars`: the sum of `new_bars` up to this version of its lineage.
"""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import facts_pb2, model_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import (
    baselines_ahead,
    metric,
    names,
    recorded_at,
    time_of,
    upsert,
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
    labelled_bars BIGINT NOT NULL,
    seed TEXT NOT NULL,
    cpu_seconds DOUBLE PRECISION NOT NULL
)
"""


_LABELLED = (
    "UPDATE {model_registry} SET labelled_bars = ? + COALESCE("
    "(SELECT before.labelled_bars FROM {model_registry} AS before WHERE before.lineage = ? AND before.version = ?), 0)"
    " WHERE model = ?"
)


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Trained: a row, which never changes."""
    match event.fact.message:
        case facts_pb2.ModelTrained(record=record):
            row = _row(event, record)
            yield Statement(*upsert("model_registry", row, "model"))
            yield Statement(_LABELLED, (record.windows.new_bars, record.lineage, record.version - 1, record.model))


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
        "labelled_bars": record.windows.new_bars,
        "seed": str(record.seed),
        "cpu_seconds": record.cpu_seconds,
    }


TABLE = Table(
    name="model_registry",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {model_registry}_by_position ON {model_registry} (position)",
        "CREATE INDEX {model_registry}_by_lineage ON {model_registry} (lineage, position, version, labelled_bars)",
        "CREATE INDEX {model_registry}_by_version ON {model_registry} (lineage, version, labelled_bars)",
        "CREATE INDEX {model_registry}_by_series ON {model_registry} (series, position)",
        "CREATE INDEX {model_registry}_by_task ON {model_registry} (series, task, position)",
        "CREATE INDEX {model_registry}_by_parent ON {model_registry} (parent)",
        "CREATE INDEX {model_registry}_by_dataset ON {model_registry} (dataset_digest)",
    ),
    project=project,
)
