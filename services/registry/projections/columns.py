"""Conversion of facts to column values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.decisions.comparison import worse_than
from ratchet.events.v1 import decision_pb2, model_pb2, pattern_pb2
from ratchet.names import Lineage
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue

Limits = tuple[float | None, float | None, float | None]


def time_of(message: Message, field: str) -> str | None:
    """A Timestamp field in RFC 3339 UTC; None if unset."""
    if not message.HasField(field):
        return None
    moment = getattr(message, field)
    return _text(moment.seconds, moment.nanos)


def recorded_at(event: RecordedEvent) -> str:
    """The time of the event's recording, RFC 3339 UTC."""
    moment = event.envelope.recorded_at
    return _text(moment.seconds, moment.nanos)


@lru_cache(256)
def _text(seconds: int, nanos: int) -> str:
    """Cached: the events of a batch, and the tables of an event, share few times."""
    return str(Timestamp(seconds=seconds, nanos=nanos).ToJsonString())


def timestamp_in(text: str | None) -> Timestamp | None:
    """Parses a column value of `time_of`."""
    if text is None:
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = datetime.fromisoformat(f"{whole}+00:00").timestamp()
    return Timestamp(seconds=int(seconds), nanos=int(fraction.ljust(9, "0")) if fraction else 0)


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


def baselines_ahead(record: model_pb2.ModelRecord) -> str:
    """The naive baselines with the smaller Brier score on the holdout, separated by a comma and a space."""
    return ", ".join(baseline.name for baseline in worse_than(record))


def verdict_word(verdict: decision_pb2.Verdict.ValueType) -> str | None:
    """PROMOTED, REJECTED, INCONCLUSIVE or NO_NEW_EVIDENCE; None for no verdict."""
    return decision_pb2.Verdict.Name(verdict).removeprefix("VERDICT_") if verdict else None


def pattern_state(state: pattern_pb2.PatternState.ValueType) -> str:
    """REFUTED, KEPT, CONFIRMED, RETIRED, OFFERED or COVERED."""
    return pattern_pb2.PatternState.Name(state).removeprefix("PATTERN_STATE_")


@lru_cache(1024)
def names(lineage: str) -> tuple[str, str, str]:
    """Series, task and model type of a lineage."""
    parsed = Lineage.parse(lineage)
    return str(parsed.series), str(parsed.task), parsed.model_type


def upsert(
    table: str, row: Mapping[str, SqlValue], *key: str, kept: Sequence[str] = ()
) -> tuple[str, tuple[SqlValue, ...]]:
    """INSERT of a row, or UPDATE of the row with the same `key` columns, except those in `kept`: SQL, parameters."""
    return _upsert(table, tuple(row), key, tuple(kept)), tuple(row.values())


@lru_cache(64)
def _upsert(table: str, columns: tuple[str, ...], key: tuple[str, ...], kept: tuple[str, ...]) -> str:
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in (*key, *kept))
    return (
        f"INSERT INTO {{{table}}} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )
