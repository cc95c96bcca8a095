"""pattern_use: the patterns of each model, with the end of the evidence known to the model."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import facts_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import time_of

_CREATE = """
CREATE TABLE {pattern_use} (
    model TEXT NOT NULL,
    pattern_id TEXT NOT NULL,
    evidence_end TEXT,
    position BIGINT NOT NULL,
    PRIMARY KEY (model, pattern_id)
)
"""


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Trained: a row for each used pattern."""
    match event.fact.message:
        case facts_pb2.ModelTrained(record=record):
            for use in record.patterns_used:
                yield Statement(
                    "INSERT INTO {pattern_use} (model, pattern_id, evidence_end, position) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (model, pattern_id) DO UPDATE SET evidence_end = excluded.evidence_end",
                    (record.model, use.pattern_id, time_of(use, "evidence_end"), event.position),
                )


TABLE = Table(
    name="pattern_use",
    create=_CREATE,
    indexes=("CREATE INDEX {pattern_use}_by_pattern ON {pattern_use} (pattern_id, position)",),
    project=project,
)
