"""feature_history: every ranked feature of every version, with its importance."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import facts_pb2
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.projections.columns import interval, names, recorded_at

_COLUMNS = (
    "position, rank, feature, lineage, series, task, model, session_id, share, share_low, share_high, is_useless,"
    " recorded_at"
)
_CREATE = """
CREATE TABLE {feature_history} (
    position BIGINT NOT NULL,
    rank BIGINT NOT NULL,
    feature TEXT NOT NULL,
    lineage TEXT NOT NULL,
    series TEXT NOT NULL,
    task TEXT NOT NULL,
    model TEXT NOT NULL,
    session_id TEXT NOT NULL,
    share DOUBLE PRECISION,
    share_low DOUBLE PRECISION,
    share_high DOUBLE PRECISION,
    is_useless BIGINT NOT NULL,
    recorded_at TEXT NOT NULL,
    PRIMARY KEY (position, feature)
)
"""


def project(event: RecordedEvent) -> Iterator[Statement]:
    """Ranked: a row for each feature."""
    match event.fact.message:
        case facts_pb2.FeaturesRanked() as fact:
            series, task, _ = names(fact.lineage)
            for feature in fact.features:
                yield Statement(
                    f"INSERT INTO {{feature_history}} ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"
                    " ON CONFLICT (position, feature) DO UPDATE SET rank = excluded.rank",
                    (
                        event.position,
                        feature.rank,
                        feature.name,
                        fact.lineage,
                        series,
                        task,
                        fact.model,
                        fact.session_id,
                        *interval(feature, "share"),
                        int(feature.useless),
                        recorded_at(event),
                    ),
                )


TABLE = Table(
    name="feature_history",
    create=_CREATE,
    indexes=("CREATE INDEX {feature_history}_by_lineage ON {feature_history} (lineage, position)",),
    project=project,
)
