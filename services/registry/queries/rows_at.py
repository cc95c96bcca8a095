"""Rows of the read tables as of a log position; the present is the position NOW, after every event."""

from __future__ import annotations

from typing import Any

from services.registry.eventlog import Log
from services.registry.queries.as_of import NOW
from services.registry.queries.paging import Condition

Row = dict[str, Any]

MODELS = "model_registry JOIN model_states USING (model, lineage, series, task, parent)"
"""Every model with its states, one of which is `valid_at` a position."""

_OPEN = {"state": "OPEN", "ended_at": None, "verdict": None, "promoted": 0, "reason": "", "message": ""}
_UNTRAINED = {
    "model": "",
    "complexity_step": None,
    "cpu_seconds": None,
    "improvement_over_baseline": None,
    "improvement_over_baseline_low": None,
    "improvement_over_baseline_high": None,
    "worse_than": "",
}
_UNDECIDED = {
    "improvement_over_parent": None,
    "improvement_over_parent_low": None,
    "improvement_over_parent_high": None,
}


def valid_at(position: int) -> Condition:
    """The states of model_states that hold as of a position."""
    if position == NOW:
        return Condition("valid_to IS NULL")
    return Condition("valid_from <= ? AND (valid_to IS NULL OR valid_to > ?)", (position, position))


def not_ended(column: str, position: int) -> Condition:
    """Rows whose end, a position in `column`, comes after a position."""
    if position == NOW:
        return Condition(f"{column} IS NULL")
    return Condition(f"({column} IS NULL OR {column} > ?)", (position,))


def model(log: Log, name: str, position: int) -> Row | None:
    """The row of MODELS of a model; None if it was not recorded by then."""
    valid = valid_at(position)
    rows = log.query(f"SELECT * FROM {MODELS} WHERE model = ? AND {valid.sql}", (name, *valid.params))
    return rows[0] if rows else None


def newest_decision(log: Log, lineage: str, position: int) -> Row | None:
    """The row of decision_history of the last decision on a lineage."""
    rows = log.query(
        "SELECT * FROM decision_history WHERE lineage = ? AND scope = 'LINEAGE' AND position <= ?"
        " ORDER BY position DESC LIMIT 1",
        (lineage, position),
    )
    return rows[0] if rows else None


def newest_version(log: Log, lineage: str, position: int) -> Row:
    """`version` and `labelled_bars` of the newest model of a lineage that has one."""
    [row] = log.query(
        "SELECT version, labelled_bars FROM model_registry WHERE lineage = ? AND position <= ?"
        " ORDER BY position DESC LIMIT 1",
        (lineage, position),
    )
    return row


def symbol_best(log: Log, series: str, task: str, position: int) -> Row | None:
    """The row of champion_history of the best model of a series and task: reigns follow each other without a gap."""
    rows = log.query(
        "SELECT * FROM champion_history WHERE scope = 'SYMBOL' AND series = ? AND task = ? AND from_position <= ?"
        " ORDER BY from_position DESC LIMIT 1",
        (series, task, position),
    )
    return rows[0] if rows else None


def training(row: Row, position: int) -> Row:
    """A row of training_history with what was recorded by then: its columns are written once, each at a position."""
    for name, unknown in _UNKNOWN.items():
        recorded = row[f"{name}_position"]
        if recorded is None or recorded > position:
            row = row | unknown
    return row


def was_latest(row: Row, position: int) -> bool:
    """Whether a row of dataset_history was the latest of its series."""
    return not row["is_cut"] and (row["latest_until"] is None or row["latest_until"] > position)


_UNKNOWN: dict[str, Row] = {"ended": _OPEN, "trained": _UNTRAINED, "decided": _UNDECIDED}
