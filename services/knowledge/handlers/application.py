"""The write side: what is known, decisions, and their facts appended all or none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ratchet.errors import AlreadyExists, StreamConflict
from ratchet.events.v1 import facts_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage, Series
from services.knowledge.domain import decide, ranking
from services.knowledge.domain.settle import settle
from services.knowledge.projection.state import Contents, fold
from services.platform.facts import Fact, from_state
from services.platform.log_client import LogClient, RemoteApplication

ATTEMPTS = 20

TOPICS = tuple(
    kind.DESCRIPTOR.full_name
    for kind in (
        facts_pb2.PatternOffered,
        facts_pb2.PatternDiscovered,
        facts_pb2.PatternValidated,
        facts_pb2.PatternRetired,
        facts_pb2.FeaturesRanked,
    )
)


@dataclass(frozen=True)
class By:
    """In whose name a fact is appended."""

    actor: str
    correlation_id: str = ""


class Knowledge(RemoteApplication):
    """Records what sessions bring and what persons decide. Safe to use from many threads and many processes: what was
    decided is appended only if the streams have not moved since, and is decided again otherwise.

    Each method takes the contents as its caller has them and reads the rest of the log first. Which pattern covers
    which is a question to a whole scope, of which not every stream is written: when others wrote to the scope between
    the reading and the appending, the covering is settled once more.
    """

    name = "knowledge"

    def __init__(self, client: LogClient) -> None:
        super().__init__(client)
        self._writing = threading.Lock()

    def record_evidence(self, request: knowledge_pb2.RecordEvidenceRequest, by: By, contents: Contents) -> int:
        """Append a session's evidence and ranking in one batch; returns the position of the last fact.

        0 when there is nothing to append, or when the log has facts of this session already.
        """
        lineage = Lineage.parse(request.lineage)
        scope = str(lineage.series), str(lineage.task)

        def decided(now: Contents) -> list[Fact]:
            return [] if request.session_id in now.sessions else evidence_facts(request, now)

        def covering(now: Contents) -> list[Fact]:
            return settle(now.scope(*scope), [], request.session_id, request.market_time)

        return self._commit(decided, contents, f"evidence/{request.session_id}", by, covering)

    def retire(self, pattern_id: str, reason: str, request_id: str, by: By, contents: Contents) -> int:
        """Append a person's retirement of a pattern in `contents`, after the facts that free what it covered; returns
        its position. 0 when this request was carried out before."""
        definition = contents.patterns[pattern_id].definition
        scope = definition.series, definition.task

        def decided(now: Contents) -> list[Fact]:
            record = now.patterns[pattern_id]
            if any(change.by_person and change.request_id == request_id for change in record.changes):
                return []
            return settle(now.scope(*scope), [decide.retire(record, reason)], "")

        def covering(now: Contents) -> list[Fact]:
            return settle(now.scope(*scope), [], "")

        return self._commit(decided, contents, request_id, by, covering)

    def offer(self, pattern_id: str, series: str, reason: str, request_id: str, by: By, contents: Contents) -> int:
        """Append the offer of a pattern in `contents` to another series; returns its position.

        0 when this request was carried out before.
        """
        target = str(Series.parse(series))

        def decided(now: Contents) -> list[Fact]:
            record = now.patterns[pattern_id]
            there = now.patterns.get(decide.offered_id(record, target))
            if there and there.offer and there.changes[0].request_id == request_id:
                return []
            return [decide.offer(record, target, reason, there)]

        return self._commit(decided, contents, request_id, by)

    def _commit(
        self,
        decided: Callable[[Contents], list[Fact]],
        contents: Contents,
        request_id: str,
        by: By,
        covering: Callable[[Contents], list[Fact]] | None = None,
    ) -> int:
        """`covering`: the facts that settle once more what covers what, where the facts may change that."""
        with self._writing:
            for attempt in range(1, ATTEMPTS + 1):
                contents = self._up_to_date(contents)
                facts = decided(contents)
                if not facts:
                    return 0
                try:
                    positions = self._put(facts, request_id, by)
                except StreamConflict:
                    if attempt == ATTEMPTS:
                        raise
                    continue
                except AlreadyExists:
                    if decided(self._up_to_date(contents)):
                        raise
                    return 0
                if covering is not None and positions[0] > contents.position + 1:
                    self._settle_again(covering, contents, f"covering/{positions[-1]}", by)
                return positions[-1]
        raise AssertionError("the last attempt returns or raises")

    def _settle_again(
        self, covering: Callable[[Contents], list[Fact]], contents: Contents, request_id: str, by: By
    ) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            contents = self._up_to_date(contents)
            facts = covering(contents)
            if not facts:
                return
            try:
                self._put(facts, f"{request_id}/{attempt}", by)
            except StreamConflict:
                if attempt == ATTEMPTS:
                    raise

    def _put(self, facts: list[Fact], request_id: str, by: By) -> list[int]:
        recordings = self.events.put(facts, request_id=request_id, correlation_id=by.correlation_id, actor=by.actor)
        return [recording.notification.id for recording in recordings]

    def _up_to_date(self, contents: Contents) -> Contents:
        """The contents as of the log's head."""
        head = self._client.head()
        if head <= contents.position:
            return contents
        found = self._client.select_notifications(contents.position + 1, head - contents.position, head, TOPICS)
        facts = [
            (each.id, from_state(str(each.originator_id), each.originator_version, each.topic, each.state))
            for each in found
        ]
        return fold(contents, facts, head)


def evidence_facts(request: knowledge_pb2.RecordEvidenceRequest, contents: Contents) -> list[Fact]:
    """The facts that a session's evidence and ranking make; InvalidInput where it contradicts what is known."""
    lineage = Lineage.parse(request.lineage)
    decided = [
        decide.record_evidence(contents.patterns.get(tested.pattern.id), tested, request) for tested in request.tested
    ]
    told = [fact for fact in decided if fact is not None]
    scope = contents.scope(str(lineage.series), str(lineage.task))
    facts = settle(scope, told, request.session_id, request.market_time) if told else []
    if request.features:
        ranked = contents.rankings.get(request.lineage)
        message = facts_pb2.FeaturesRanked(
            lineage=request.lineage,
            session_id=request.session_id,
            features=request.features,
            market_time=request.market_time,
        )
        version = ranked.version + 1 if ranked else 1
        facts.append(Fact(ranking.stream_of(request.lineage), version, message, causation_id=request.session_id))
    return facts
