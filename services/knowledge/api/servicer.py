"""The gRPC face of what has been learned."""

from __future__ import annotations

import grpc

from ratchet.errors import AlreadyExists, InvalidInput, NotFound
from ratchet.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc
from ratchet.names import Lineage, Series, Task
from ratchet.patterns.rule_text import pattern_id, text_of
from services.knowledge.api import validation
from services.knowledge.api.lookup import resolve, scopes
from services.knowledge.api.messages import feature_ranking, history, known_pattern, success_rate, year_of_evidence
from services.knowledge.api.paging import Page
from services.knowledge.domain import standing
from services.knowledge.domain.pattern import View, view
from services.knowledge.domain.rates import fate, rates
from services.knowledge.domain.rules import State
from services.knowledge.domain.years import by_year
from services.knowledge.handlers.application import By, Knowledge
from services.knowledge.projection.follower import Book
from services.knowledge.projection.state import Contents, SessionTrace
from services.platform.interceptors import Caller
from services.platform.log_client import LogClient

PATIENCE_SECONDS = 10.0
SHARE_OF_DEADLINE = 0.8


class KnowledgeService(knowledge_pb2_grpc.KnowledgeServiceServicer):
    """Reads answer from the book and name the position that they reflect; writes go to the log first.

    A write answers as of the position of its own last fact, so its repetition gets the first answer.
    """

    def __init__(self, client: LogClient, knowledge: Knowledge, book: Book) -> None:
        self._client, self._knowledge, self._book = client, knowledge, book

    def RecordEvidence(
        self, request: knowledge_pb2.RecordEvidenceRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.RecordEvidenceResponse:
        validation.evidence(request)
        contents = self._read(context, self._client.head())
        if request.session_id not in contents.sessions:
            by = By(Caller.of(context).actor, request.session_id)
            position = self._knowledge.record_evidence(request, by, contents)
            contents = self._read(context, position or self._client.head())
        trace = contents.sessions.get(request.session_id)
        if trace is not None:
            _require_same_session(request, trace)
        position = trace.position if trace else contents.position
        records = (contents.patterns.get(tested.pattern.id) for tested in request.tested)
        views = (view(record, position) for record in records if record)
        return knowledge_pb2.RecordEvidenceResponse(
            patterns=[known_pattern(found) for found in views if found], position=position
        )

    def GetKnowledge(
        self, request: knowledge_pb2.GetKnowledgeRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.GetKnowledgeResponse:
        """What was known at a log position of bars labelled before `known_before`, to a session of `market_time`.

        `tested_ids` and `tested_through` do not follow `known_before`: a rule, or a bar, that served a first test of a
        session that counts is spent. Bars that only validated known patterns are not spent, and a rule that was only
        offered is yet to be tested.
        """
        scope = str(Series.parse(request.series)), str(Task.parse(request.task))
        contents, position = self._as_of(request, context)
        before, market_time = validation.known_before(request), validation.market_time(request)
        records = [record.of_market(market_time) for record in contents.scope(*scope)]
        views = standing.views(records, position, before, market_time)
        shown = [found for found in views if request.include_all or found.state.active]
        tested = {record.id: last for record in records if (last := record.tested_through(position)) is not None}
        answer = knowledge_pb2.GetKnowledgeResponse(
            patterns=map(known_pattern, sorted(shown, key=_surest_first)),
            tested_ids=sorted(tested),
            position=position,
        )
        if tested:
            answer.tested_through.seconds = max(tested.values())
        return answer

    def ListPatterns(
        self, request: knowledge_pb2.ListPatternsRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListPatternsResponse:
        page = Page.of(request)
        contents, position = self._as_of(request, context, page)
        before = validation.known_before(request)
        views = [
            found
            for scope in scopes(contents, request.series, request.task)
            for found in standing.views(contents.scope(*scope), position, before)
            if request.state in (0, found.state)
        ]
        shown, following = page.cut(sorted(views, key=_by_scope), position, request.page_size)
        return knowledge_pb2.ListPatternsResponse(
            patterns=map(known_pattern, shown), next_page_token=following, position=position
        )

    def GetPattern(
        self, request: knowledge_pb2.GetPatternRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.GetPatternResponse:
        contents, position = self._as_of(request, context)
        record = resolve(contents, request.pattern_id, position)
        before = validation.known_before(request)
        found = view(record, position)
        if before is not None:
            scope = contents.scope(record.definition.series, record.definition.task)
            found = next((each for each in standing.views(scope, position, before) if each.record is record), None)
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
        """Make a pattern of one series a candidate of another; it is kept there by evidence of its own alone."""
        validation.named("request_id", request.request_id)
        series = str(Series.parse(request.series))
        contents = self._read(context, self._client.head())
        record = resolve(contents, request.pattern_id, contents.position)
        position = self._knowledge.offer(
            record.id, series, request.reason, request.request_id, _by_person(request, context), contents
        )
        contents = self._read(context, position or self._client.head())
        offered = pattern_id(text_of(record.definition.rule), series, record.definition.task)
        pattern, position = _done(contents, offered, request.request_id)
        return knowledge_pb2.OfferPatternResponse(pattern=pattern, position=position)

    def RetirePattern(
        self, request: knowledge_pb2.RetirePatternRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.RetirePatternResponse:
        validation.named("request_id", request.request_id)
        contents = self._read(context, self._client.head())
        record = resolve(contents, request.pattern_id, contents.position)
        by = _by_person(request, context)
        position = self._knowledge.retire(record.id, request.reason, request.request_id, by, contents)
        contents = self._read(context, position or self._client.head())
        pattern, position = _done(contents, record.id, request.request_id)
        return knowledge_pb2.RetirePatternResponse(pattern=pattern, position=position)

    def ListSuccessRates(
        self, request: knowledge_pb2.ListSuccessRatesRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListSuccessRatesResponse:
        """Of the rules that were tested by then; of all series together only where no series is asked for."""
        contents, position = self._as_of(request, context)
        fates = [
            fate(found)
            for scope in scopes(contents, request.series, request.task)
            for found in standing.views(contents.scope(*scope), position)
            if found.state is not State.OFFERED
        ]
        answer = map(success_rate, rates(fates, over_all_series=not request.series))
        return knowledge_pb2.ListSuccessRatesResponse(rates=answer, position=position)

    def ListFeatureHistory(
        self, request: knowledge_pb2.ListFeatureHistoryRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListFeatureHistoryResponse:
        """Oldest first; none for a lineage that has not been trained."""
        lineage = str(Lineage.parse(request.lineage))
        page = Page.of(request)
        contents, position = self._as_of(request, context, page)
        record, market_time = contents.rankings.get(lineage), validation.market_time(request)
        rankings = record.known(position, market_time) if record else ()
        shown, following = page.cut(rankings, position, request.page_size)
        return knowledge_pb2.ListFeatureHistoryResponse(
            rankings=map(feature_ranking, shown), next_page_token=following, position=position
        )

    def _as_of(
        self, request: validation.Read, context: grpc.ServicerContext, page: Page | None = None
    ) -> tuple[Contents, int]:
        """What is known, and the log position that the answer reflects: that of the list's first page, the one asked
        for, that of the last fact by the moment asked for (0: there was none), or the last one."""
        moment = validation.log_time(request)
        first_page = page.position if page else None
        contents = self._read(context, max(request.min_position, request.as_of_position, first_page or 0))
        if first_page is not None:
            return contents, first_page
        if moment is not None:
            return contents, contents.position_at(moment)
        return contents, request.as_of_position or contents.position

    def _read(self, context: grpc.ServicerContext, min_position: int) -> Contents:
        if min_position > self._book.position:
            self._require_there(min_position)
        left = context.time_remaining()
        patience = PATIENCE_SECONDS if left is None else min(PATIENCE_SECONDS, SHARE_OF_DEADLINE * left)
        return self._book.wait(min_position, patience)

    def _require_there(self, position: int) -> None:
        """InvalidInput for a position that the log does not have: waiting for it would hold a thread for nothing."""
        head = self._client.head()
        if position > head:
            raise InvalidInput(
                f"there is no position {position}; the log ends at {head}: ask for one up to that, or for the present"
            )


def _done(contents: Contents, pattern_id: str, request_id: str) -> tuple[knowledge_pb2.KnownPattern, int]:
    """The pattern as the fact that carried out a request left it, and the position of that fact."""
    record = contents.patterns[pattern_id]
    position = next(change.position for change in record.changes if change.request_id == request_id)
    found = view(record, position)
    assert found is not None, "a pattern is known as of each of its own facts"
    return known_pattern(found), position


def _by_person(
    request: knowledge_pb2.OfferPatternRequest | knowledge_pb2.RetirePatternRequest, context: grpc.ServicerContext
) -> By:
    caller = Caller.of(context)
    return By(caller.actor, caller.correlation_id or request.request_id)


def _require_same_session(request: knowledge_pb2.RecordEvidenceRequest, trace: SessionTrace) -> None:
    sent = {tested.pattern.id for tested in request.tested if tested.evidence.spans}
    if trace.lineage != request.lineage or set(trace.pattern_ids) != sent:
        raise AlreadyExists(
            f"session {request.session_id} of {trace.lineage} has recorded other evidence at position {trace.position};"
            " a session records once: send the same again, or use a session of its own",
            fields={"session_id": "used before"},
        )


def _surest_first(found: View) -> tuple[float, str]:
    return -found.counts.confidence, found.record.id


def _by_scope(found: View) -> tuple[str, str, float, str]:
    return found.record.definition.series, found.record.definition.task, *_surest_first(found)
