"""What knowledge shows of itself: how far behind the log it is."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from services.knowledge.projection.follower import Book
from services.platform.log_client import LogClient
from services.platform.telemetry import Check

CATCH_UP_SECONDS = 2.0


def following(client: LogClient, book: Book, registry: CollectorRegistry) -> Check:
    """Passes once the log has been read, and while what is appended to it arrives within CATCH_UP_SECONDS."""
    position = Gauge("ratchet_knowledge_position", "Position of the log that answers reflect", registry=registry)
    position.set_function(lambda: book.position)
    lag = Gauge("ratchet_knowledge_lag", "Events of the log that answers do not reflect yet", registry=registry)

    def check() -> None:
        head = client.head()
        lag.set(max(0, head - book.position))
        book.wait(head, CATCH_UP_SECONDS)
        lag.set(0)

    return Check("log", check)
