"""The write side: aggregates from the log, decisions, and their facts appended all or none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eventsourcing.application import AggregateNotFoundError

from ratchet.errors import AlreadyExists, StreamConflict
from ratchet.events.v1 import facts_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from services.kernel.facts import Fact
from services.kernel.log_client import LogClient, RemoteApplication
from services.knowledge.domain import decide, pattern, ranking
from services.knowledge.domain.pattern import PatternRecord
from services.knowledge.domain.ranking import RankingRecord

ATTEMPTS = 20

Record = TypeVar("Record")


@dataclass(frozen=True)
class By:
    """In whose name a fact is appended."""

    actor: str
    correlation_id: str = ""


class Knowledge(RemoteApplication):
    """Records what sessions bring and what persons decide. Safe to use from many threads and many processes: what was
    decided is appended only if the streams have not moved since, and is decided again otherwise."""

    name = "knowledge"

    def __init__(self, client: LogClient) -> None:
        super().__init__(client)
        self._writing = threading.Lock()

    def pattern(self, pattern_id: str) -> PatternRecord | None:
        return self._load(pattern.stream_of(pattern_id), pattern.project)

    def rankings(self, lineage: str) -> RankingRecord | None:
        return self._load(ranking.stream_of(lineage), ranking.project)

    def record_evidence(self, request: knowledge_pb2.RecordEvidenceRequest, by: By) -> int:
        """Append a session's evidence and ranking in one batch; returns the position of the last fact.

        0 when there is nothing to append, or when the log has facts of this session already.
        """

        def facts() -> list[Fact]:
            known = {tested.pattern.id: self.pattern(tested.pattern.id) for tested in request.tested}
            ranked = self.rankings(request.lineage)
            if ranked and ranked.has_session(request.session_id):
                return []
            if any(record and record.has_session(request.session_id) for record in known.values()):
                return []
            return _session_facts(request, known, ranked)

        return self._commit(facts, f"evidence/{request.session_id}", by)

    def retire(self, pattern_id: str, reason: str, request_id: str, by: By) -> int:
        """Append a person's retirement; returns its position. 0 when this request was carried out before."""

        def facts() -> list[Fact]:
            record = self.pattern(pattern_id)
            if record is None or any(change.request_id == request_id for change in record.changes):
                return []
            return [decide.retire(record, reason)]

        return self._commit(facts, request_id, by)

    def _commit(self, decided: Callable[[], list[Fact]], request_id: str, by: By) -> int:
        with self._writing:
            for attempt in range(1, ATTEMPTS + 1):
                facts = decided()
                if not facts:
                    return 0
                try:
                    recordings = self.events.put(
                        facts, request_id=request_id, correlation_id=by.correlation_id, actor=by.actor
                    )
                    return recordings[-1].notification.id
                except StreamConflict:
                    if attempt == ATTEMPTS:
                        raise
                except AlreadyExists:
                    if decided():
                        raise
                    return 0
        raise AssertionError("the last attempt returns or raises")

    def _load(self, stream: str, projector: Callable[..., Record | None]) -> Record | None:
        try:
            found: Record | None = self.repository.get(stream, projector_func=projector)
        except AggregateNotFoundError:
            return None
        return found


def _session_facts(
    request: knowledge_pb2.RecordEvidenceRequest,
    known: dict[str, PatternRecord | None],
    ranked: RankingRecord | None,
) -> list[Fact]:
    decided: Sequence[Fact | None] = [
        decide.record_evidence(
            known[tested.pattern.id], tested, request.session_id, request.lineage, request.candidates_tested
        )
        for tested in request.tested
    ]
    facts = [fact for fact in decided if fact is not None]
    if request.features:
        message = facts_pb2.FeaturesRanked(
            lineage=request.lineage, session_id=request.session_id, features=request.features
        )
        version = ranked.version + 1 if ranked else 1
        facts.append(Fact(ranking.stream_of(request.lineage), version, message, causation_id=request.session_id))
    return facts
