"""Metrics of the knowledge service: its lag behind the log."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from services.knowledge.projection.follower import KnowledgeProjection
from services.platform.log_client import LogClient
from services.platform.telemetry import Check

CATCH_UP_SECONDS = 2.0


def log_check(client: LogClient, projection: KnowledgeProjection, registry: CollectorRegistry) -> Check:
    """Passes once the log has been read, and while new events arrive within CATCH_UP_SECONDS."""
    position = Gauge("ratchet_knowledge_position", "Position of the log that answers reflect", registry=registry)
    position.set_function(lambda: projection.position)
    lag = Gauge("ratchet_knowledge_lag", "Events of the log that answers do not reflect yet", registry=registry)

    def check() -> None:
        head = client.head()
        lag.set(max(0, head - projection.position))
        projection.wait(head, CATCH_UP_SECONDS)
        lag.set(0)

    return Check("log", check)
