"""dataset_history: every registration of a dataset; the newest uncut one of its series `is_latest`.

A dataset may be registered again, to become the latest or with another file. `latest_until` is the position from which
on a row was no longer the latest, `superseded_position` the one from which on another row represents the same dataset.
"""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import facts_pb2
from ratchet.names import Series
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.database import SqlValue
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import recorded_at, time_of, upsert

_CREATE = """
CREATE TABLE {dataset_history} (
    digest TEXT NOT NULL,
    series TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    bars BIGINT NOT NULL,
    first_bar TEXT,
    last_bar TEXT,
    source TEXT NOT NULL,
    artifact_digest TEXT NOT NULL,
    artifact_bytes BIGINT NOT NULL,
    previous_digest TEXT NOT NULL,
    bars_appended BIGINT NOT NULL,
    bars_changed BIGINT NOT NULL,
    bars_removed BIGINT NOT NULL,
    cut_from TEXT NOT NULL,
    is_cut BIGINT NOT NULL,
    is_latest BIGINT NOT NULL,
    latest_until BIGINT,
    superseded_position BIGINT,
    position BIGINT PRIMARY KEY,
    recorded_at TEXT NOT NULL
)
"""


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Registered: a row, the latest of its series unless it was cut from another.

    It supersedes earlier rows of the dataset.
    """
    match event.fact.message:
        case facts_pb2.DatasetRegistered() as fact:
            series = str(Series(fact.symbol, fact.timeframe))
            if not fact.cut_from:
                yield Statement(
                    "UPDATE {dataset_history} SET is_latest = 0, latest_until = ? WHERE series = ? AND is_latest = 1",
                    (event.position, series),
                )
            yield Statement(
                "UPDATE {dataset_history} SET superseded_position = ?"
                " WHERE digest = ? AND series = ? AND superseded_position IS NULL",
                (event.position, fact.digest, series),
            )
            row: dict[str, SqlValue] = {
                "digest": fact.digest,
                "series": series,
                "symbol": fact.symbol,
                "timeframe": fact.timeframe,
                "bars": fact.rows,
                "first_bar": time_of(fact, "first_bar"),
                "last_bar": time_of(fact, "last_bar"),
                "source": fact.source,
                "artifact_digest": fact.artifact.digest,
                "artifact_bytes": fact.artifact.size_bytes,
                "previous_digest": fact.previous_digest,
                "bars_appended": fact.rows_appended,
                "bars_changed": fact.rows_changed,
                "bars_removed": fact.rows_removed,
                "cut_from": fact.cut_from,
                "is_cut": int(bool(fact.cut_from)),
                "is_latest": int(not fact.cut_from),
                "position": event.position,
                "recorded_at": recorded_at(event),
            }
            yield Statement(*upsert("dataset_history", row, "position"))


TABLE = Table(
    name="dataset_history",
    create=_CREATE,
    indexes=(
        "CREATE INDEX {dataset_history}_by_series ON {dataset_history} (series, position)",
        "CREATE INDEX {dataset_history}_by_digest ON {dataset_history} (digest, series, position)",
        "CREATE INDEX {dataset_history}_by_origin ON {dataset_history} (cut_from) WHERE is_cut = 1",
        "CREATE INDEX {dataset_history}_latest ON {dataset_history} (series) WHERE is_latest = 1",
    ),
    project=project,
)
