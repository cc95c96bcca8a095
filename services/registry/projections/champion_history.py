"""champion_history: every reign of a model as champion of its lineage, or best of its symbol.

A reign goes from the position of the decision that began it to that of the one that ended it; the one in force has no
end.
"""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import decision_pb2, facts_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import names, recorded_at, upsert

_CREATE = """
CREATE TABLE {champion_history} (
    scope TEXT NOT NULL,
    model TEXT NOT NULL,
    lineage TEXT NOT NULL,
    series TEXT NOT NULL,
    task TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    from_position BIGINT PRIMARY KEY,
    from_at TEXT NOT NULL,
    to_position BIGINT,
    to_at TEXT
)
"""

_END_IN_LINEAGE = (
    "UPDATE {champion_history} SET to_position = ?, to_at = ?"
    " WHERE scope = 'LINEAGE' AND lineage = ? AND to_position IS NULL"
)
_END_IN_TASK = (
    "UPDATE {champion_history} SET to_position = ?, to_at = ?"
    " WHERE scope = 'SYMBOL' AND series = ? AND task = ? AND to_position IS NULL"
)


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Promoted: ends the previous reign and begins another."""
    match event.fact.message:
        case facts_pb2.ModelPromoted() as fact:
            series, task, _ = names(fact.lineage)
            of_lineage = fact.scope == decision_pb2.SCOPE_LINEAGE
            yield Statement(
                _END_IN_LINEAGE if of_lineage else _END_IN_TASK,
                (event.position, recorded_at(event), *([fact.lineage] if of_lineage else [series, task])),
            )
            row: dict[str, SqlValue] = {
                "scope": decision_pb2.Scope.Name(fact.scope).removeprefix("SCOPE_"),
                "model": fact.model,
                "lineage": fact.lineage,
                "series": series,
                "task": task,
                "decided_by": decision_pb2.DecidedBy.Name(fact.decided_by).removeprefix("DECIDED_BY_"),
                "from_position": event.position,
                "from_at": recorded_at(event),
            }
            yield Statement(*upsert("champion_history", row, "from_position"))


TABLE = Table(
    name="champion_history",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {champion_history}_by_model ON {champion_history} (model, from_position)",
        "CREATE INDEX {champion_history}_by_lineage ON {champion_history} (lineage, from_position)"
        " WHERE scope = 'LINEAGE'",
        "CREATE INDEX {champion_history}_by_task ON {champion_history} (series, task, from_position)"
        " WHERE scope = 'SYMBOL'",
        "CREATE INDEX {champion_history}_in_lineage ON {champion_history} (lineage)"
        " WHERE scope = 'LINEAGE' AND to_position IS NULL",
        "CREATE INDEX {champion_history}_in_task ON {champion_history} (series, task)"
        " WHERE scope = 'SYMBOL' AND to_position IS NULL",
    ),
    project=project,
)
