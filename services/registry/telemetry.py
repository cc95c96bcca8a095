"""Metrics of the registry's log: position, appends, ended sessions.

They are read from the database every few seconds, so all registries on one database show the same log.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from ratchet.errors import BY_REASON
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.transparency.event_format import FACTS
from services.platform.telemetry import Check
from services.registry.eventlog import Filter, Log, Query
from services.registry.projections.columns import pattern_state, verdict_word

ENDS = tuple(
    kind.DESCRIPTOR.full_name
    for kind in (facts_pb2.TrainingCompleted, facts_pb2.TrainingFailed, facts_pb2.TrainingCancelled)
)
STATES = tuple(pattern_state(state) for state in pattern_pb2.PatternState.values() if state)


class LogTelemetry:
    """`check` checks the database, and updates the metrics with its new events."""

    def __init__(self, log: Log, registry: CollectorRegistry) -> None:
        self._log = log
        self._start_position = log.head().position
        self._last_position = -1
        self._position = Gauge("ratchet_log_position", "Position of the last event of the log", registry=registry)
        self._events = Counter(
            "ratchet_log_events", "Events appended since this registry started", ("topic",), registry=registry
        )
        self._commits = Counter(
            "ratchet_log_commits", "Durable transactions that appended them, one sync each", registry=registry
        )
        self._ended = Counter(
            "ratchet_sessions_ended",
            "Sessions by their end: promoted, declined (by verdict), failed (by reason), cancelled",
            ("end", "reason"),
            registry=registry,
        )
        self._open = Gauge("ratchet_sessions_open", "Sessions without an end", registry=registry)
        self._patterns = Gauge("ratchet_patterns", "Patterns by state", ("state",), registry=registry)

    def check(self) -> Check:
        return Check("database", self._update)

    def _update(self) -> None:
        self._require_writable()
        head = self._log.head().position
        if head == self._last_position:
            return
        self._position.set(head)
        self._count(max(self._start_position, self._last_position), head)
        [row] = self._log.query("SELECT COUNT(*) AS sessions FROM training_history WHERE state = 'OPEN'")
        self._open.set(row["sessions"])
        rows = self._log.query("SELECT state, COUNT(*) AS patterns FROM knowledge_base GROUP BY state")
        counts = {row["state"]: row["patterns"] for row in rows}
        for state in STATES:
            self._patterns.labels(state).set(counts.get(state, 0))
        self._last_position = head

    def _require_writable(self) -> None:
        """An empty write transaction that changes nothing: no request has an empty id."""
        with self._log.database.write() as writer:
            writer.execute("DELETE FROM requests WHERE request_id = ''")

    def _count(self, after: int, head: int) -> None:
        rows = self._log.query(
            "SELECT topic, COUNT(*) AS events FROM stored_events WHERE position > ? AND position <= ? GROUP BY topic",
            (after, head),
        )
        for row in rows:
            self._events.labels(row["topic"] if row["topic"] in FACTS else "other").inc(row["events"])
        [row] = self._log.query(
            "SELECT COUNT(*) AS commits FROM checkpoints WHERE size > ? AND size <= ?", (after, head)
        )
        self._commits.inc(row["commits"])
        for batch in self._log.read(Query(start=after + 1, stop=head, filter=Filter(topics=ENDS))):
            for event in batch:
                self._ended.labels(*_end(event.fact.message)).inc()


def _end(fact: object) -> tuple[str, str]:
    match fact:
        case facts_pb2.TrainingCompleted(promoted=True):
            return "promoted", ""
        case facts_pb2.TrainingCompleted(verdict=verdict):
            return "declined", verdict_word(verdict) or "OTHER"
        case facts_pb2.TrainingFailed(reason=reason):
            return "failed", reason if reason in BY_REASON else "OTHER"
        case _:
            return "cancelled", ""
