"""The write side: decisions on the current state, and their facts appended all or none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ratchet.errors import AlreadyExists, StreamConflict
from ratchet.events.v1 import facts_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage, Series
from services.knowledge.domain import decide, ranking
from services.knowledge.domain.subsumption_updates import with_subsumption_updates
from services.knowledge.projection.state import KnowledgeState, fold
from services.platform.facts import Fact, from_state
from services.platform.log_client import LogClient, RemoteApplication

ATTEMPTS = 20

TOPICS = tuple(
    kind.DESCRIPTOR.full_name
    for kind in (
        facts_pb2.DatasetRegistered,
        facts_pb2.PatternOffered,
        facts_pb2.PatternDiscovered,
        facts_pb2.PatternValidated,
        facts_pb2.PatternRetired,
        facts_pb2.FeaturesRanked,
    )
)


@dataclass(frozen=True)
class Attribution:
    """Actor and correlation id of an append."""

    actor: str
    correlation_id: str = ""


class Knowledge(RemoteApplication):
    """Records evidence of sessions and decisions of persons.

    Safe for many threads and many processes: facts are appended only if their streams have not advanced since the
    decision, which is repeated otherwise.

    Each method takes the caller's state and reads the rest of the log first. Subsumption concerns a whole scope, of
    which a batch writes only some streams: after concurrent writes to the scope, the subsumption is updated once more.
    """

    name = "knowledge"

    def __init__(self, client: LogClient) -> None:
        super().__init__(client)
        self._writing = threading.Lock()

    def record_evidence(
        self, request: knowledge_pb2.RecordEvidenceRequest, attribution: Attribution, state: KnowledgeState
    ) -> int:
        """Appends a session's evidence and ranking in one batch; returns the position of the last fact.

        0 for nothing to append, or if the log has facts of this session already.
        """
        lineage = Lineage.parse(request.lineage)
        scope = str(lineage.series), str(lineage.task)

        def decide_facts(current: KnowledgeState) -> list[Fact]:
            return [] if request.session_id in current.sessions else evidence_facts(request, current)

        def update_subsumption(current: KnowledgeState) -> list[Fact]:
            return with_subsumption_updates(
                current.scope(*scope), [], current.snapshots, request.session_id, request.market_time
            )

        return self._commit(decide_facts, state, f"evidence/{request.session_id}", attribution, update_subsumption)

    def retire(
        self, pattern_id: str, reason: str, request_id: str, attribution: Attribution, state: KnowledgeState
    ) -> int:
        """Appends a person's retirement of a pattern in `state`; returns its position.

        Facts that free subsumed patterns come first. 0 if this request was carried out before.
        """
        definition = state.patterns[pattern_id].definition
        scope = definition.series, definition.task

        def decide_facts(current: KnowledgeState) -> list[Fact]:
            record = current.patterns[pattern_id]
            if any(change.by_person and change.request_id == request_id for change in record.changes):
                return []
            return with_subsumption_updates(
                current.scope(*scope), [decide.retire(record, reason)], current.snapshots, ""
            )

        def update_subsumption(current: KnowledgeState) -> list[Fact]:
            return with_subsumption_updates(current.scope(*scope), [], current.snapshots, "")

        return self._commit(decide_facts, state, request_id, attribution, update_subsumption)

    def offer(
        self,
        pattern_id: str,
        series: str,
        reason: str,
        request_id: str,
        attribution: Attribution,
        state: KnowledgeState,
    ) -> int:
        """Appends the offer of a pattern in `state` to another series; returns its position.

        0 if this request was carried out before.
        """
        target = str(Series.parse(series))

        def decide_facts(current: KnowledgeState) -> list[Fact]:
            record = current.patterns[pattern_id]
            existing = current.patterns.get(decide.offered_id(record, target))
            if existing and existing.offer and existing.changes[0].request_id == request_id:
                return []
            return [decide.offer(record, target, reason, existing)]

        return self._commit(decide_facts, state, request_id, attribution)

    def _commit(
        self,
        decide_facts: Callable[[KnowledgeState], list[Fact]],
        state: KnowledgeState,
        request_id: str,
        attribution: Attribution,
        update_subsumption: Callable[[KnowledgeState], list[Fact]] | None = None,
    ) -> int:
        """`update_subsumption`: returns the facts that update the subsumption of the scope."""
        with self._writing:
            for attempt in range(1, ATTEMPTS + 1):
                state = self._up_to_date(state)
                facts = decide_facts(state)
                if not facts:
                    return 0
                try:
                    positions = self._append(facts, request_id, attribution)
                except StreamConflict:
                    if attempt == ATTEMPTS:
                        raise
                    continue
                except AlreadyExists:
                    if decide_facts(self._up_to_date(state)):
                        raise
                    return 0
                if update_subsumption is not None and positions[0] > state.position + 1:
                    self._update_subsumption(update_subsumption, state, f"covering/{positions[-1]}", attribution)
                return positions[-1]
        raise AssertionError("the last attempt returns or raises")

    def _update_subsumption(
        self,
        update_subsumption: Callable[[KnowledgeState], list[Fact]],
        state: KnowledgeState,
        request_id: str,
        attribution: Attribution,
    ) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            state = self._up_to_date(state)
            facts = update_subsumption(state)
            if not facts:
                return
            try:
                self._append(facts, f"{request_id}/{attempt}", attribution)
            except StreamConflict:
                if attempt == ATTEMPTS:
                    raise

    def _append(self, facts: list[Fact], request_id: str, attribution: Attribution) -> list[int]:
        recordings = self.events.put(
            facts, request_id=request_id, correlation_id=attribution.correlation_id, actor=attribution.actor
        )
        return [recording.notification.id for recording in recordings]

    def _up_to_date(self, state: KnowledgeState) -> KnowledgeState:
        """The state as of the log's head."""
        head = self._client.head()
        if head <= state.position:
            return state
        found = self._client.select_notifications(state.position + 1, head - state.position, head, TOPICS)
        facts = [
            (each.id, from_state(str(each.originator_id), each.originator_version, each.topic, each.state))
            for each in found
        ]
        return fold(state, facts, head)


def evidence_facts(request: knowledge_pb2.RecordEvidenceRequest, state: KnowledgeState) -> list[Fact]:
    """The facts of a session's evidence and ranking; InvalidInput if they contradict the state."""
    lineage = Lineage.parse(request.lineage)
    decisions = [
        decide.record_evidence(state.patterns.get(tested.pattern.id), tested, request, state.snapshots)
        for tested in request.tested
    ]
    decided_facts = [fact for fact in decisions if fact is not None]
    scope = state.scope(str(lineage.series), str(lineage.task))
    facts = []
    if decided_facts:
        cause, market_time = request.session_id, request.market_time
        facts = with_subsumption_updates(scope, decided_facts, state.snapshots, cause, market_time)
    if request.features:
        ranked = state.rankings.get(request.lineage)
        message = facts_pb2.FeaturesRanked(
            lineage=request.lineage,
            session_id=request.session_id,
            features=request.features,
            market_time=request.market_time,
        )
        version = ranked.version + 1 if ranked else 1
        facts.append(Fact(ranking.stream_of(request.lineage), version, message, causation_id=request.session_id))
    return facts
