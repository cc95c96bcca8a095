"""decision_history: every promotion and decline, with the statistics of its pair."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import decision_pb2, facts_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import interval, names, recorded_at, time_of, upsert, verdict_word

_CREATE = """
CREATE TABLE {decision_history} (
    position BIGINT PRIMARY KEY,
    recorded_at TEXT NOT NULL,
    actor TEXT NOT NULL,
    scope TEXT NOT NULL,
    lineage TEXT NOT NULL,
    series TEXT NOT NULL,
    task TEXT NOT NULL,
    session_id TEXT NOT NULL,
    model TEXT NOT NULL,
    champion TEXT NOT NULL,
    outcome TEXT NOT NULL,
    verdict TEXT,
    decided_by TEXT NOT NULL,
    policy TEXT NOT NULL,
    basis TEXT NOT NULL,
    reason TEXT NOT NULL,
    is_rollback BIGINT NOT NULL,
    competing_lineages BIGINT NOT NULL,
    decided_through TEXT,
    contenders TEXT NOT NULL,
    bars BIGINT,
    e_value DOUBLE PRECISION,
    dm_p DOUBLE PRECISION,
    improvement DOUBLE PRECISION,
    improvement_low DOUBLE PRECISION,
    improvement_high DOUBLE PRECISION
)
"""


def project(event: RecordedEvent) -> Iterator[Statement]:
    """A row for each decision; `champion` is the replaced or the remaining one. Only the gate has a policy."""
    match event.fact.message:
        case facts_pb2.ModelPromoted() as fact:
            row = _common(event, fact) | {
                "champion": fact.replaced,
                "outcome": "PROMOTED",
                "verdict": verdict_word(decision_pb2.VERDICT_PROMOTED) if _by_gate(fact) else None,
                "decided_by": decision_pb2.DecidedBy.Name(fact.decided_by).removeprefix("DECIDED_BY_"),
                "is_rollback": int(fact.rollback),
            }
            yield Statement(*upsert("decision_history", row, "position"))
        case facts_pb2.PromotionDeclined() as fact:
            row = _common(event, fact) | {
                "champion": fact.champion,
                "outcome": "DECLINED",
                "verdict": verdict_word(fact.verdict),
                "decided_by": "GATE" if fact.policy else "PERSON",
                "is_rollback": 0,
            }
            yield Statement(*upsert("decision_history", row, "position"))


def _by_gate(fact: facts_pb2.ModelPromoted) -> bool:
    return fact.decided_by == decision_pb2.DECIDED_BY_GATE


def _common(event: RecordedEvent, fact: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined) -> dict[str, SqlValue]:
    series, task, _ = names(fact.lineage)
    return {
        "position": event.position,
        "recorded_at": recorded_at(event),
        "actor": event.envelope.actor,
        "scope": decision_pb2.Scope.Name(fact.scope).removeprefix("SCOPE_"),
        "lineage": fact.lineage,
        "series": series,
        "task": task,
        "session_id": fact.session_id,
        "model": fact.model,
        "policy": fact.policy,
        "basis": decision_pb2.Basis.Name(fact.basis).removeprefix("BASIS_"),
        "reason": fact.reason if isinstance(fact, facts_pb2.ModelPromoted) else "",
        "competing_lineages": fact.competing_lineages,
        "decided_through": time_of(fact, "decided_through"),
        "contenders": ", ".join(fact.contenders_kept) if isinstance(fact, facts_pb2.PromotionDeclined) else "",
        **_judged(next((evidence.judgement for evidence in fact.evidence if evidence.contender == fact.model), None)),
    }


def _judged(judgement: decision_pb2.Judgement | None) -> dict[str, SqlValue]:
    if judgement is None:
        return {}
    value, low, high = interval(judgement, "improvement_percent")
    return {
        "bars": judgement.bars,
        "e_value": judgement.e_value,
        "dm_p": judgement.dm_p,
        "improvement": value,
        "improvement_low": low,
        "improvement_high": high,
    }


TABLE = Table(
    name="decision_history",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {decision_history}_by_lineage ON {decision_history} (lineage, scope, position)",
        "CREATE INDEX {decision_history}_by_task ON {decision_history} (series, task, position)",
        "CREATE INDEX {decision_history}_by_session ON {decision_history} (session_id)",
    ),
    project=project,
)
