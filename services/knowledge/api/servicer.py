"""The gRPC servicer of the knowledge service."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from ratchet.errors import AlreadyExists, InvalidInput, NotFound
from ratchet.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc
from ratchet.names import MODEL_TYPES, Lineage, Series, Task
from ratchet.patterns.rule_text import pattern_id, text_of
from services.knowledge.api import validation
from services.knowledge.api.lookup import resolve, scopes
from services.knowledge.api.messages import feature_ranking, history, known_pattern, success_rate, year_of_evidence
from services.knowledge.api.paging import Page
from services.knowledge.domain import pattern_views
from services.knowledge.domain.pattern import PatternView, view
from services.knowledge.domain.rates import outcome_of, rates
from services.knowledge.domain.rules import State
from services.knowledge.domain.years import by_year
from services.knowledge.handlers.application import Attribution, Knowledge
from services.knowledge.projection.follower import KnowledgeProjection
from services.knowledge.projection.state import KnowledgeState, SessionRecord
from services.platform.interceptors import Caller
from services.platform.log_client import LogClient

WAIT_SECONDS = 10.0
SHARE_OF_DEADLINE = 0.8


class KnowledgeService(knowledge_pb2_grpc.KnowledgeServiceServicer):
    """Reads answer from the projection and name its position; writes append to the log first.

    The answer of a write is as of the position of its own last fact, so its repetition gets the first answer.
    """

    def __init__(self, client: LogClient, knowledge: Knowledge, projection: KnowledgeProjection) -> None:
        self._client, self._knowledge, self._projection = client, knowledge, projection

    def RecordEvidence(
        self, request: knowledge_pb2.RecordEvidenceRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.RecordEvidenceResponse:
        validation.evidence(request)
        state = self._read(context, self._client.head())
        if request.session_id not in state.sessions:
            attribution = Attribution(Caller.of(context).actor, request.session_id)
            position = self._knowledge.record_evidence(request, attribution, state)
            state = self._read(context, position or self._client.head())
        recorded = state.sessions.get(request.session_id)
        if recorded is not None:
            _require_same_session(request, recorded)
        position = recorded.position if recorded else state.position
        records = (state.patterns.get(tested.pattern.id) for tested in request.tested)
        views = (view(record, position) for record in records if record)
        return knowledge_pb2.RecordEvidenceResponse(
            patterns=[known_pattern(found) for found in views if found], position=position
        )

    def GetKnowledge(
        self, request: knowledge_pb2.GetKnowledgeRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.GetKnowledgeResponse:
        """The knowledge as of a log position, of bars labelled before `known_before`, for a session of `market_time`.

        `tested_ids` and `tested_through` ignore `known_before`: a rule or a bar used by a first test of a counted
        session is spent. Bars that only validated known patterns are not spent, and an offered rule is not tested yet.
        """
        scope = str(Series.parse(request.series)), str(Task.parse(request.task))
        state, position = self._as_of(request, context)
        before, market_time = validation.known_before(request), validation.market_time(request)
        records = [record.as_of_market_time(market_time) for record in state.scope(*scope)]
        views = pattern_views.views(records, position, before, market_time)
        shown = [found for found in views if request.include_all or found.state.active]
        tested = {record.id: last for record in records if (last := record.tested_through(position)) is not None}
        answer = knowledge_pb2.GetKnowledgeResponse(
            patterns=map(known_pattern, sorted(shown, key=_by_confidence)),
            tested_ids=sorted(tested),
            position=position,
            rankings=self._newest_rankings("/".join(scope), state, position, market_time),
        )
        if tested:
            answer.tested_through.seconds = max(tested.values())
        return answer

    def ListPatterns(
        self, request: knowledge_pb2.ListPatternsRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListPatternsResponse:
        page = Page.of(request)
        state, position = self._as_of(request, context, page)
        before = validation.known_before(request)
        views = [
            found
            for scope in scopes(state, request.series, request.task)
            for found in pattern_views.views(state.scope(*scope), position, before)
            if request.state in (0, found.state)
        ]
        shown, following = page.cut(sorted(views, key=_by_scope), position, request.page_size)
        return knowledge_pb2.ListPatternsResponse(
            patterns=map(known_pattern, shown), next_page_token=following, position=position
        )

    def GetPattern(
        self, request: knowledge_pb2.GetPatternRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.GetPatternResponse:
        state, position = self._as_of(request, context)
        record = resolve(state, request.pattern_id, position)
        before = validation.known_before(request)
        found = view(record, position)
        if before is not None:
            scope = state.scope(record.definition.series, record.definition.task)
            found = next((each for each in pattern_views.views(scope, position, before) if each.record is record), None)
        if found is None:
            raise NotFound(
                f"pattern {record.id} had no bar whose label was known before {request.known_before.ToJsonString()};"
                " ask for a later known_before",
                fields={"known_before": "before its first test"},
            )
        return knowledge_pb2.GetPatternResponse(
            pattern=known_pattern(found),
            history=history(found),
            years=map(year_of_evidence, by_year(found.evidence, record.label)),
            position=position,
        )

    def OfferPattern(
        self, request: knowledge_pb2.OfferPatternRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.OfferPatternResponse:
        """Makes a pattern of one series a candidate of another, where only evidence of its own can keep it."""
        validation.named("request_id", request.request_id)
        series = str(Series.parse(request.series))
        state = self._read(context, self._client.head())
        record = resolve(state, request.pattern_id, state.position)
        position = self._knowledge.offer(
            record.id, series, request.reason, request.request_id, _attribution(request, context), state
        )
        state = self._read(context, position or self._client.head())
        offered = pattern_id(text_of(record.definition.rule), series, record.definition.task)
        pattern, position = _result_of(state, offered, request.request_id)
        return knowledge_pb2.OfferPatternResponse(pattern=pattern, position=position)

    def RetirePattern(
        self, request: knowledge_pb2.RetirePatternRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.RetirePatternResponse:
        validation.named("request_id", request.request_id)
        state = self._read(context, self._client.head())
        record = resolve(state, request.pattern_id, state.position)
        attribution = _attribution(request, context)
        position = self._knowledge.retire(record.id, request.reason, request.request_id, attribution, state)
        state = self._read(context, position or self._client.head())
        pattern, position = _result_of(state, record.id, request.request_id)
        return knowledge_pb2.RetirePatternResponse(pattern=pattern, position=position)

    def ListSuccessRates(
        self, request: knowledge_pb2.ListSuccessRatesRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListSuccessRatesResponse:
        """Success rates of the rules tested by then; over all series together only without a series in the request."""
        state, position = self._as_of(request, context)
        outcomes = [
            outcome_of(found)
            for scope in scopes(state, request.series, request.task)
            for found in pattern_views.views(state.scope(*scope), position)
            if found.state is not State.OFFERED
        ]
        answer = map(success_rate, rates(outcomes, over_all_series=not request.series))
        return knowledge_pb2.ListSuccessRatesResponse(rates=answer, position=position)

    def ListFeatureHistory(
        self, request: knowledge_pb2.ListFeatureHistoryRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListFeatureHistoryResponse:
        """Oldest first; empty for an untrained lineage."""
        lineage = str(Lineage.parse(request.lineage))
        page = Page.of(request)
        state, position = self._as_of(request, context, page)
        record, market_time = state.rankings.get(lineage), validation.market_time(request)
        rankings = record.known(position, market_time) if record else ()
        shown, following = page.cut(rankings, position, request.page_size)
        return knowledge_pb2.ListFeatureHistoryResponse(
            rankings=map(feature_ranking, shown), next_page_token=following, position=position
        )

    @staticmethod
    def _newest_rankings(
        problem: str, state: KnowledgeState, position: int, market_time: int | None
    ) -> Iterator[knowledge_pb2.FeatureRanking]:
        """The newest ranking of each lineage of a series and task."""
        for model_type in sorted(MODEL_TYPES):
            record = state.rankings.get(f"{problem}/{model_type}")
            yield from map(feature_ranking, record.known(position, market_time)[-1:] if record else ())

    def _as_of(
        self, request: validation.Read, context: grpc.ServicerContext, page: Page | None = None
    ) -> tuple[KnowledgeState, int]:
        """The state, and the log position of the answer.

        The position is that of the list's first page, the requested one, the last fact by the requested time (0: none),
        or the latest.
        """
        moment = validation.log_time(request)
        first_page = page.position if page else None
        state = self._read(context, max(request.min_position, request.as_of_position, first_page or 0))
        if first_page is not None:
            return state, first_page
        if moment is not None:
            return state, state.position_at(moment)
        return state, request.as_of_position or state.position

    def _read(self, context: grpc.ServicerContext, min_position: int) -> KnowledgeState:
        if min_position > self._projection.position:
            self._require_position(min_position)
        left = context.time_remaining()
        timeout = WAIT_SECONDS if left is None else min(WAIT_SECONDS, SHARE_OF_DEADLINE * left)
        return self._projection.wait(min_position, timeout)

    def _require_position(self, position: int) -> None:
        """InvalidInput for a position beyond the log's end: waiting for it would occupy a thread in vain."""
        head = self._client.head()
        if position > head:
            raise InvalidInput(
                f"there is no position {position}; the log ends at {head}: ask for one up to that, or for the present"
            )


def _result_of(state: KnowledgeState, pattern_id: str, request_id: str) -> tuple[knowledge_pb2.KnownPattern, int]:
    """The pattern after the fact of a request, and the position of that fact."""
    record = state.patterns[pattern_id]
    position = next(change.position for change in record.changes if change.request_id == request_id)
    found = view(record, position)
    assert found is not None, "a pattern is known as of each of its own facts"
    return known_pattern(found), position


def _attribution(
    request: knowledge_pb2.OfferPatternRequest | knowledge_pb2.RetirePatternRequest, context: grpc.ServicerContext
) -> Attribution:
    caller = Caller.of(context)
    return Attribution(caller.actor, caller.correlation_id or request.request_id)


def _require_same_session(request: knowledge_pb2.RecordEvidenceRequest, recorded: SessionRecord) -> None:
    sent = {tested.pattern.id for tested in request.tested if tested.evidence.spans}
    if recorded.lineage != request.lineage or set(recorded.pattern_ids) != sent:
        raise AlreadyExists(
            f"session {request.session_id} of {recorded.lineage} has recorded other evidence at position"
            f" {recorded.position};"
            " a session records once: send the same again, or use a session of its own",
            fields={"session_id": "used before"},
        )


def _by_confidence(found: PatternView) -> tuple[float, str]:
    return -found.counts.confidence, found.record.id


def _by_scope(found: PatternView) -> tuple[str, str, float, str]:
    return found.record.definition.series, found.record.definition.task, *_by_confidence(found)
