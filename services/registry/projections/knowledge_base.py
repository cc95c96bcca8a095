"""knowledge_base: the current state of every pattern: rule, state, confidence and evidence."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import decision_pb2, facts_pb2, pattern_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import pattern_state, recorded_at, upsert

_CREATE = """
CREATE TABLE {knowledge_base} (
    pattern_id TEXT PRIMARY KEY,
    series TEXT NOT NULL,
    task TEXT NOT NULL,
    type TEXT NOT NULL,
    rule TEXT NOT NULL,
    state TEXT NOT NULL,
    confidence DOUBLE PRECISION,
    confidence_low DOUBLE PRECISION,
    confidence_high DOUBLE PRECISION,
    base_rate DOUBLE PRECISION,
    probability_above_base DOUBLE PRECISION,
    probability_above_line DOUBLE PRECISION,
    bars BIGINT NOT NULL,
    support BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    effective_support DOUBLE PRECISION,
    effective_hits DOUBLE PRECISION,
    p_value DOUBLE PRECISION,
    candidates_tested BIGINT NOT NULL,
    validations BIGINT NOT NULL,
    conflicting_bars BIGINT NOT NULL,
    found_by_lineage TEXT NOT NULL,
    found_by_session TEXT NOT NULL,
    found_at TEXT NOT NULL,
    first_position BIGINT NOT NULL,
    found_position BIGINT NOT NULL,
    retired_by TEXT,
    retired_reason TEXT,
    covered_by TEXT,
    offered_from TEXT,
    position BIGINT NOT NULL,
    updated_at TEXT NOT NULL
)
"""


_ESTIMATES = (
    "confidence",
    "confidence_low",
    "confidence_high",
    "base_rate",
    "probability_above_base",
    "probability_above_line",
    "effective_support",
    "effective_hits",
)


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Offered and discovered: a row. Validated and retired: state and counts after it.

    A fact without bars only changes the subsumption of a pattern and is no validation.
    """
    match event.fact.message:
        case facts_pb2.PatternOffered() as fact:
            row = _row(event, fact.pattern) | {"offered_from": fact.from_pattern_id}
            row |= _after(event, pattern_pb2.PATTERN_STATE_OFFERED, pattern_pb2.PatternCounts())
            row |= dict.fromkeys(_ESTIMATES)
            yield Statement(*upsert("knowledge_base", row, "pattern_id"))
        case facts_pb2.PatternDiscovered() as fact:
            row = _row(event, fact.pattern) | {
                "p_value": fact.p_value,
                "candidates_tested": fact.candidates_tested,
                "found_by_lineage": fact.lineage,
                "found_by_session": fact.session_id,
                "covered_by": fact.covered_by or None,
            }
            row |= _after(event, fact.state, fact.after)
            yield Statement(*upsert("knowledge_base", row, "pattern_id", kept=("first_position",)))
        case facts_pb2.PatternValidated() as fact:
            revived = fact.state != pattern_pb2.PATTERN_STATE_RETIRED
            changes: dict[str, SqlValue] = {"retired_by": None, "retired_reason": None} if revived else {}
            changes |= {"covered_by": fact.covered_by or None, **_after(event, fact.state, fact.after)}
            added = "validations = validations + ?, conflicting_bars = conflicting_bars + ?"
            yield _update(fact.pattern_id, changes, added, (int(bool(fact.evidence.spans)), len(fact.conflicting_rows)))
        case facts_pb2.PatternRetired() as fact:
            by = decision_pb2.DecidedBy.Name(fact.decided_by).removeprefix("DECIDED_BY_")
            changes = {"retired_by": by, "retired_reason": fact.reason, "covered_by": None}
            changes |= _after(event, pattern_pb2.PATTERN_STATE_RETIRED, fact.after)
            yield _update(fact.pattern_id, changes)


def _row(event: RecordedEvent, pattern: pattern_pb2.Pattern) -> dict[str, SqlValue]:
    return {
        "pattern_id": pattern.id,
        "series": pattern.series,
        "task": pattern.task,
        "type": pattern.type,
        "rule": pattern.wording,
        "candidates_tested": 0,
        "validations": 0,
        "conflicting_bars": 0,
        "found_by_lineage": "",
        "found_by_session": "",
        "found_at": recorded_at(event),
        "first_position": event.position,
        "found_position": event.position,
    }


def _update(
    pattern_id: str, changes: dict[str, SqlValue], more: str = "", params: tuple[SqlValue, ...] = ()
) -> Statement:
    assignments = ", ".join([f"{name} = ?" for name in changes] + ([more] if more else []))
    return Statement(
        f"UPDATE {{knowledge_base}} SET {assignments} WHERE pattern_id = ?", (*changes.values(), *params, pattern_id)
    )


def _after(
    event: RecordedEvent, state: pattern_pb2.PatternState.ValueType, counts: pattern_pb2.PatternCounts
) -> dict[str, SqlValue]:
    return {
        "state": pattern_state(state),
        "confidence": counts.confidence,
        "confidence_low": counts.low,
        "confidence_high": counts.high,
        "base_rate": counts.base_rate,
        "probability_above_base": counts.probability_above_base,
        "probability_above_line": counts.probability_above_line,
        "bars": counts.bars,
        "support": counts.support,
        "hits": counts.hits,
        "effective_support": counts.effective_support,
        "effective_hits": counts.effective_hits,
        "position": event.position,
        "updated_at": recorded_at(event),
    }


TABLE = Table(
    name="knowledge_base",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {knowledge_base}_by_task ON {knowledge_base} (series, task, state)",
        "CREATE INDEX {knowledge_base}_by_session ON {knowledge_base} (found_by_session)",
    ),
    project=project,
)
