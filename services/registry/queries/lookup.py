"""Lookups in the read tables, with helpful NotFound errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

from ratchet.errors import NotFound
from ratchet.names import DEFAULT_HORIZON, Lineage, Series, Task
from services.registry.eventlog import Log, RecordedEvent

Value = TypeVar("Value")

_IN_ONE_QUERY = 500
_NEWEST = 20


def chunks(values: Sequence[Value], size: int = _IN_ONE_QUERY) -> Iterator[Sequence[Value]]:
    """The values in parts that fit one query."""
    return (values[start : start + size] for start in range(0, len(values), size))


def events_at(log: Log, positions: Sequence[int]) -> list[RecordedEvent]:
    """The events at these positions, in this order."""
    found: dict[int, RecordedEvent] = {}
    for chunk in chunks(positions):
        marks = ", ".join("?" * len(chunk))
        for row in log.query(f"SELECT * FROM stored_events WHERE position IN ({marks})", chunk):
            found[row["position"]] = RecordedEvent(
                row["position"], row["originator_id"], row["originator_version"], row["topic"], bytes(row["state"])
            )
    return [found[position] for position in positions]


def champions(log: Log, series: Series, task: Task) -> list[str]:
    """The champions of all lineages of a series and task, by name."""
    rows = log.query(
        "SELECT model FROM model_states WHERE series = ? AND task = ? AND is_lineage_champion = 1 AND valid_to IS NULL",
        (str(series), str(task)),
    )
    return sorted(row["model"] for row in rows)


def model_types(log: Log, series: Series) -> frozenset[str]:
    """The model types ever trained on a series: a lineage has a champion from its first model on."""
    rows = log.query(
        "SELECT lineage FROM model_states WHERE series = ? AND is_lineage_champion = 1 AND valid_to IS NULL",
        (str(series),),
    )
    return frozenset(row["lineage"].rpartition("/")[2] for row in rows)


def require_dataset(log: Log, digest: str, series: Series) -> dict[str, Any]:
    """The row of a dataset of a series; NotFound if not registered for it."""
    rows = log.query("SELECT * FROM dataset_history WHERE digest = ? AND superseded_position IS NULL", (digest,))
    for row in rows:
        if row["series"] == str(series):
            return row
    others = f"; it holds bars of {' and '.join(sorted(row['series'] for row in rows))}" if rows else ""
    raise NotFound(
        f"dataset {digest!r} is not registered for {series}{others}; see ratchet data list,"
        f" or import one with ratchet data import {series.symbol} FILE",
        fields={"dataset_digest": "unknown"},
    )


def unknown_dataset(digest: str) -> NotFound:
    """The error for a digest of no registered dataset."""
    return NotFound(
        f"there is no dataset {digest!r}; give the 64 digits of one: ratchet data list -o json",
        fields={"digest": "unknown"},
    )


def missing(log: Log, what: Literal["model", "lineage"], name: str) -> NotFound:
    """The error for an unknown name, with similar names and the next step."""
    near = near_names(log, name)
    if what == "lineage":
        near = list(dict.fromkeys(found.rpartition("/")[0] for found in near))
    hint = f" did you mean {' or '.join(near)}?" if near else ""
    step = "see ratchet models list" if what == "model" else f"begin it with {train_command(Lineage.parse(name))}"
    return NotFound(f"there is no {what} {name};{hint} {step}", fields={what: "unknown"})


def near_names(log: Log, name: str) -> list[str]:
    """At most three models with similar names: the newest of its own lineage, or champions of others."""
    rows = log.query(
        "SELECT model FROM model_registry WHERE lineage = ? ORDER BY position DESC LIMIT ?",
        (name.rpartition("/")[0], _NEWEST),
    ) or log.query("SELECT model FROM model_states WHERE is_lineage_champion = 1 AND valid_to IS NULL")
    return difflib.get_close_matches(name, sorted(row["model"] for row in rows), 3)


def train_command(lineage: Lineage) -> str:
    """The command that trains the next version of a lineage."""
    task = lineage.task
    horizon = "" if task.horizon == DEFAULT_HORIZON[task.target] else f" --horizon {task.horizon}"
    return f"ratchet train {lineage.series} --model {lineage.model_type} --target {task.target}{horizon}"
