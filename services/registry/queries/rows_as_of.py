"""Reconstructs rows of the read tables as of a log position.

Changes by later facts are reverted in the current rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.events.v1 import decision_pb2, facts_pb2
from services.registry.eventlog import Log, RecordedEvent
from services.registry.projections.columns import interval
from services.registry.queries.lookup import chunks, events_at

Row = dict[str, Any]

_IN_FORCE = "from_position <= ? AND (to_position IS NULL OR to_position > ?)"
_IMPROVEMENT = "improvement_over_parent", "improvement_over_parent_low", "improvement_over_parent_high"
_ENDED = {"state": "OPEN", "ended_at": None, "verdict": None, "promoted": 0}
_MEASURED = {
    "model": "",
    "complexity_step": None,
    "cpu_seconds": None,
    "improvement_over_baseline": None,
    "improvement_over_baseline_low": None,
    "improvement_over_baseline_high": None,
    "worse_than": "",
}


def models(log: Log, rows: Sequence[Row], position: int) -> list[Row]:
    """Rows of model_registry with champion, best and contender flags, verdict and improvement as of the position."""
    names, sessions = [row["model"] for row in rows], [row["session_id"] for row in rows]
    reigning = {
        (found["model"], found["scope"])
        for part in chunks(names)
        for found in log.query(
            f"SELECT model, scope FROM champion_history WHERE model IN ({_marks(part)}) AND {_IN_FORCE}",
            (*part, position, position),
        )
    }
    promoted = {
        found["model"]
        for part in chunks(names)
        for found in log.query(
            f"SELECT model FROM champion_history WHERE model IN ({_marks(part)}) AND scope = 'LINEAGE'"
            " AND decided_by = 'GATE' AND from_position <= ?",
            (*part, position),
        )
    }
    verdicts = {
        found["session_id"]: found["verdict"]
        for part in chunks(sessions)
        for found in log.query(
            f"SELECT session_id, verdict FROM training_history WHERE session_id IN ({_marks(part)})"
            " AND ended_position <= ?",
            (*part, position),
        )
    }
    contenders = _contenders(log, {row["lineage"] for row in rows}, position)
    return [
        row
        | _improvement(log, row, position)
        | {
            "is_lineage_champion": int((row["model"], "LINEAGE") in reigning),
            "is_symbol_best": int((row["model"], "SYMBOL") in reigning),
            "is_contender": int(row["model"] in contenders),
            "verdict": "PROMOTED" if row["model"] in promoted else verdicts.get(row["session_id"]),
        }
        for row in rows
    ]


def _contenders(log: Log, lineages: Collection[str], position: int) -> set[str]:
    """The contenders after the newest decision on each lineage."""
    newest = (newest_decision(log, lineage, position) for lineage in sorted(lineages))
    return {name for decided in newest if decided is not None for name in contenders_after(decided)}


def newest_decision(log: Log, lineage: str, position: int) -> RecordedEvent | None:
    """The last decision event on a lineage as of the position."""
    rows = log.query(
        "SELECT position FROM decision_history WHERE lineage = ? AND scope = 'LINEAGE' AND position <= ?"
        " ORDER BY position DESC LIMIT 1",
        (lineage, position),
    )
    return events_at(log, [rows[0]["position"]])[0] if rows else None


def contenders_after(decided: RecordedEvent) -> Sequence[str]:
    """The contenders that a decision kept; none after a promotion."""
    fact = decided.fact.message
    return fact.contenders_kept if isinstance(fact, facts_pb2.PromotionDeclined) else ()


def champion(log: Log, lineage: str, position: int) -> str:
    """The champion of a lineage; empty for none."""
    return _in_force(log, "scope = 'LINEAGE' AND lineage = ?", (lineage,), position)


def symbol_best(log: Log, series: str, task: str, position: int) -> str:
    """The best model of a series and task; empty for none."""
    return _in_force(log, "scope = 'SYMBOL' AND series = ? AND task = ?", (series, task), position)


def _in_force(log: Log, of: str, names: tuple[str, ...], position: int) -> str:
    """The model in force as of the position: reigns follow each other without a gap, so it is the last begun."""
    rows = log.query(
        f"SELECT model FROM champion_history WHERE {of} AND from_position <= ? ORDER BY from_position DESC LIMIT 1",
        (*names, position),
    )
    return str(rows[0]["model"]) if rows else ""


@dataclass(frozen=True)
class ChampionAge:
    """`versions` of a lineage so far; sessions and labelled bars since its champion's own session."""

    versions: int
    sessions: int
    bars: int


def age(log: Log, of: Row, position: int) -> ChampionAge:
    """The age of a lineage's champion, by its row of model_registry."""
    [row] = log.query(
        "SELECT COUNT(*) AS sessions, COALESCE(SUM(new_bars), 0) AS bars FROM model_registry"
        " WHERE lineage = ? AND position > ? AND position <= ?",
        (of["lineage"], of["position"], position),
    )
    return ChampionAge(of["version"] + row["sessions"], row["sessions"], row["bars"])


def _improvement(log: Log, row: Row, position: int) -> Row:
    """The newest comparison with the parent as of the position; a contender may have been compared again later."""
    if row["improvement_position"] is None or row["improvement_position"] <= position:
        return {}
    decisions = log.query(
        "SELECT position FROM decision_history WHERE lineage = ? AND scope = 'LINEAGE' AND position > ?"
        " AND position <= ? ORDER BY position DESC",
        (row["lineage"], row["position"], position),
    )
    for found in decisions:
        [event] = events_at(log, [found["position"]])
        for evidence in _evidence(event.fact.message):
            if (evidence.contender, evidence.champion) == (row["model"], row["parent"]):
                return dict(zip(_IMPROVEMENT, interval(evidence.judgement, "improvement_percent"), strict=True))
    return dict.fromkeys(_IMPROVEMENT)


def _evidence(fact: object) -> Iterable[decision_pb2.Evidence]:
    return fact.evidence if isinstance(fact, facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined) else ()


def trainings(rows: Sequence[Row], position: int) -> list[Row]:
    """Rows of training_history with the model, end and reason recorded by then."""
    return [_training(row, position) for row in rows]


def _training(row: Row, position: int) -> Row:
    """A failure's reason comes with its end; the reason of a session with a model comes with the decision after it."""

    def known(fact: str) -> bool:
        found = row[f"{fact}_position"]
        return found is not None and found <= position

    row_then = dict(row)
    if not known("ended"):
        row_then |= _ENDED
    if not known("trained"):
        row_then |= _MEASURED
    if not known("decided"):
        row_then |= dict.fromkeys(_IMPROVEMENT)
        if row["state"] == "COMPLETED" or not known("ended"):
            row_then |= {"reason": "", "message": ""}
    return row_then


def datasets(rows: Sequence[Row], position: int) -> list[Row]:
    """Rows of dataset_history with the latest of each series as of the position."""
    return [row | {"is_latest": int(was_latest(row, position))} for row in rows]


def was_latest(row: Row, position: int) -> bool:
    return not row["is_cut"] and (row["latest_until"] is None or row["latest_until"] > position)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
