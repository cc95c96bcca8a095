"""Descriptions of the nodes of a lineage graph: label, liveness, and a model's reigns as champion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ratchet.events.v1 import decision_pb2, facts_pb2, pattern_pb2
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import Log, RecordedEvent
from services.registry.eventlog.database import Reader
from services.registry.eventlog.reading import stream_version
from services.registry.queries.lookup import chunks
from services.registry.queries.rows_at import was_latest

_ACTIVE_STATES = (pattern_pb2.PATTERN_STATE_KEPT, pattern_pb2.PATTERN_STATE_CONFIRMED)


class NodeDescription(NamedTuple):
    label: str
    live: bool
    reigns: Sequence[pb.Reign] = ()


def describe(log: Log, ids: Mapping[str, Sequence[str]], position: int) -> dict[tuple[str, str], NodeDescription]:
    """Models, datasets and patterns by kind and id, as of a position."""
    descriptions: dict[tuple[str, str], NodeDescription] = {}
    reigns = _reigns(log, ids["model"], position)
    for model in ids["model"]:
        descriptions["model", model] = NodeDescription(
            model, any(not r.to_position for r in reigns[model]), reigns[model]
        )
    descriptions |= {("dataset", digest): NodeDescription(digest, False) for digest in ids["dataset"]}
    for row in _rows(log, _DATASETS, ids, position):
        through = f" to {row['last_bar'][:10]}" if row["last_bar"] else ""
        label = f"{row['series']}, {row['bars']} bars{through}"
        live = was_latest(row, position) or descriptions["dataset", row["digest"]].live
        descriptions["dataset", row["digest"]] = NodeDescription(label, live)
    descriptions |= {("pattern", name): NodeDescription(name, False) for name in ids["pattern"]}
    for row in _rows(log, _PATTERNS, ids, position, "pattern"):
        active = row["state"] in ("KEPT", "CONFIRMED")
        descriptions["pattern", row["pattern_id"]] = NodeDescription(
            row["rule"], active if row["position"] <= position else _was_active(log, row["pattern_id"], position)
        )
    return descriptions


_DATASETS = (
    "SELECT digest, series, bars, last_bar, is_cut, latest_until FROM dataset_history WHERE digest IN ({marks})"
    " AND position <= ? ORDER BY position"
)
_PATTERNS = (
    "SELECT pattern_id, rule, state, position FROM knowledge_base WHERE pattern_id IN ({marks}) AND first_position <= ?"
)


def _rows(
    log: Log, sql: str, ids: Mapping[str, Sequence[str]], position: int, kind: str = "dataset"
) -> Iterator[dict[str, Any]]:
    for part in chunks(ids[kind]):
        yield from log.query(sql.format(marks=", ".join("?" * len(part))), (*part, position))


def _reigns(log: Log, models: Sequence[str], position: int) -> dict[str, list[pb.Reign]]:
    """The reigns of each model as champion of its lineage or best of its symbol; an end after `position` is omitted."""
    found: dict[str, list[pb.Reign]] = defaultdict(list)
    for part in chunks(models):
        for row in log.query(
            f"SELECT * FROM champion_history WHERE model IN ({', '.join('?' * len(part))}) AND from_position <= ?"
            " ORDER BY from_position",
            (*part, position),
        ):
            reign = pb.Reign(
                scope=decision_pb2.Scope.Value(f"SCOPE_{row['scope']}"), from_position=row["from_position"]
            )
            # `from` is a word of Python.
            getattr(reign, "from").FromDatetime(datetime.fromisoformat(row["from_at"]))
            if row["to_position"] is not None and row["to_position"] <= position:
                reign.to_position = row["to_position"]
                reign.to.FromDatetime(datetime.fromisoformat(row["to_at"]))
            found[row["model"]].append(reign)
    return found


def _was_active(log: Log, pattern_id: str, position: int) -> bool:
    """Whether a pattern was active, by its last fact as of `position`."""
    stream = f"pattern/{pattern_id}"
    with log.database.read() as reader:
        version = _version_at(reader, stream, position)
        [row] = reader.rows(
            "SELECT * FROM stored_events WHERE originator_id = ? AND originator_version = ?", (stream, version)
        )
    event = RecordedEvent(row["position"], stream, version, row["topic"], bytes(row["state"]))
    fact = event.fact.message
    return isinstance(fact, facts_pb2.PatternDiscovered | facts_pb2.PatternValidated) and fact.state in _ACTIVE_STATES


def _version_at(reader: Reader, stream: str, position: int) -> int:
    """The version of a stream as of `position`; 0 without an event. Both grow together."""
    low, high = 0, stream_version(reader, stream)
    while low < high:
        middle = (low + high + 1) // 2
        [row] = reader.rows(
            "SELECT position FROM stored_events WHERE originator_id = ? AND originator_version = ?", (stream, middle)
        )
        if row["position"] <= position:
            low = middle
        else:
            high = middle - 1
    return low
