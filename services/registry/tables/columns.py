"""How values of facts become values of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.message import Message

from ratchet.events.v1 import decision_pb2, model_pb2, pattern_pb2
from ratchet.names import Lineage
from services.registry.log.append import Recorded
from services.registry.log.database import SqlValue

Limits = tuple[float | None, float | None, float | None]


def time_of(message: Message, field: str) -> str | None:
    """A Timestamp field in RFC 3339 UTC; None where it is not set."""
    return str(getattr(message, field).ToJsonString()) if message.HasField(field) else None


def recorded_at(event: Recorded) -> str:
    """When the event was recorded, RFC 3339 UTC."""
    return str(event.envelope.recorded_at.ToJsonString())


def interval(message: Message, field: str) -> Limits:
    """Value, low and high of an Interval field."""
    if not message.HasField(field):
        return None, None, None
    found: model_pb2.Interval = getattr(message, field)
    low = found.low if found.HasField("low") else None
    return found.value, low, found.high if found.HasField("high") else None


def metric(metrics: Iterable[model_pb2.Metric], name: str) -> Limits:
    """The metric called `name`."""
    return next((interval(found, "interval") for found in metrics if found.name == name), (None, None, None))


def verdict_word(verdict: decision_pb2.Verdict.ValueType) -> str | None:
    """PROMOTED, REJECTED, INCONCLUSIVE or NO_NEW_EVIDENCE; None for no verdict."""
    return decision_pb2.Verdict.Name(verdict).removeprefix("VERDICT_") if verdict else None


def pattern_state(state: pattern_pb2.PatternState.ValueType) -> str:
    """REFUTED, KEPT, CONFIRMED, RETIRED, OFFERED or COVERED."""
    return pattern_pb2.PatternState.Name(state).removeprefix("PATTERN_STATE_")


def names(lineage: str) -> tuple[str, str, str]:
    """Series, task and model type of a lineage."""
    parsed = Lineage.parse(lineage)
    return str(parsed.series), str(parsed.task), parsed.model_type


def upsert(
    table: str, row: Mapping[str, SqlValue], *key: str, kept: Sequence[str] = ()
) -> tuple[str, tuple[SqlValue, ...]]:
    """INSERT of a row, or UPDATE of the one with the same `key` columns, those `kept` excepted: SQL, parameters."""
    changes = ", ".join(f"{name} = excluded.{name}" for name in row if name not in (*key, *kept))
    sql = (
        f"INSERT INTO {{{table}}} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )
    return sql, tuple(row.values())
