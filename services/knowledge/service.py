"""The gRPC face of what has been learned."""

from __future__ import annotations

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import AlreadyExists, InvalidInput, NotFound
from ratchet.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc
from ratchet.names import Lineage, Series, Task
from services.kernel.log_client import LogClient
from services.kernel.server import Caller
from services.knowledge import checks
from services.knowledge.answers import feature_ranking, known_pattern, pattern_change
from services.knowledge.application import By, Knowledge
from services.knowledge.book import Book
from services.knowledge.contents import Contents, SessionTrace
from services.knowledge.domain.pattern import PatternRecord, View, view
from services.knowledge.paging import Page

PATIENCE_SECONDS = 10.0
SHARE_OF_DEADLINE = 0.8
SHOWN_MATCHES = 10


class KnowledgeService(knowledge_pb2_grpc.KnowledgeServiceServicer):
    """Reads answer from the book and name the position that they reflect; writes go to the log first.

    A write answers as of the position of its own last fact, so its repetition gets the first answer.
    """

    def __init__(self, client: LogClient, knowledge: Knowledge, book: Book) -> None:
        self._client, self._knowledge, self._book = client, knowledge, book

    def RecordEvidence(
        self, request: knowledge_pb2.RecordEvidenceRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.RecordEvidenceResponse:
        checks.evidence(request)
        contents = self._read(context, self._client.head())
        if request.session_id not in contents.sessions:
            by = By(Caller.of(context).actor, request.session_id)
            position = self._knowledge.record_evidence(request, by)
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
        """What was known at a log position of bars labelled before a market time.

        `tested_ids` and `tested_through` follow the log position alone: a rule, or a bar, that served a first test is
        spent, whatever market time is asked about. Bars that only validated known patterns are not spent.
        """
        scope = str(Series.parse(request.series)), str(Task.parse(request.task))
        checks.not_negative(min_position=request.min_position, as_of_position=request.as_of_position)
        contents = self._read(context, max(request.min_position, request.as_of_position))
        position = request.as_of_position or contents.position
        before = _first_second_not_before(request.known_before) if request.HasField("known_before") else None
        records = [
            record
            for record in contents.patterns.values()
            if (record.definition.series, record.definition.task) == scope and record.changes[0].position <= position
        ]
        views = [found for record in records if (found := view(record, position, before))]
        shown = [found for found in views if request.include_all or found.state.active]
        answer = knowledge_pb2.GetKnowledgeResponse(
            patterns=map(known_pattern, sorted(shown, key=_surest_first)),
            tested_ids=sorted(record.id for record in records),
            position=position,
        )
        if records:
            last = max(int(record.first_test().times[-1]) for record in records)
            answer.tested_through.CopyFrom(Timestamp(seconds=last))
        return answer

    def ListPatterns(
        self, request: knowledge_pb2.ListPatternsRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListPatternsResponse:
        series = str(Series.parse(request.series)) if request.series else ""
        task = str(Task.parse(request.task)) if request.task else ""
        checks.not_negative(min_position=request.min_position, as_of_position=request.as_of_position)
        page = Page.parse(request.page_token) if request.page_token else Page(request.as_of_position)
        contents = self._read(context, max(request.min_position, page.position))
        page = page if page.position else Page(contents.position)
        views = [
            found
            for record in contents.patterns.values()
            if series in ("", record.definition.series)
            and task in ("", record.definition.task)
            and (found := view(record, page.position))
            and request.state in (0, found.state)
        ]
        shown, following = page.cut(sorted(views, key=_by_scope), request.page_size)
        return knowledge_pb2.ListPatternsResponse(
            patterns=map(known_pattern, shown), next_page_token=following, position=page.position
        )

    def GetPattern(
        self, request: knowledge_pb2.GetPatternRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.GetPatternResponse:
        checks.not_negative(min_position=request.min_position)
        contents = self._read(context, request.min_position)
        record = _resolve(contents, request.pattern_id)
        return knowledge_pb2.GetPatternResponse(
            pattern=known_pattern(_as_of(record, contents.position)),
            history=map(pattern_change, record.changes),
            position=contents.position,
        )

    def RetirePattern(
        self, request: knowledge_pb2.RetirePatternRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.RetirePatternResponse:
        checks.named("request_id", request.request_id)
        caller = Caller.of(context)
        record = _resolve(self._read(context, self._client.head()), request.pattern_id)
        by = By(caller.actor, caller.correlation_id or request.request_id)
        position = self._knowledge.retire(record.id, request.reason, request.request_id, by)
        contents = self._read(context, position or self._client.head())
        record = contents.patterns[record.id]
        done = next(change.position for change in record.changes if change.request_id == request.request_id)
        return knowledge_pb2.RetirePatternResponse(pattern=known_pattern(_as_of(record, done)), position=done)

    def ListFeatureHistory(
        self, request: knowledge_pb2.ListFeatureHistoryRequest, context: grpc.ServicerContext
    ) -> knowledge_pb2.ListFeatureHistoryResponse:
        """Oldest first; none for a lineage that has not been trained."""
        lineage = str(Lineage.parse(request.lineage))
        checks.not_negative(min_position=request.min_position)
        page = Page.parse(request.page_token) if request.page_token else Page(0)
        contents = self._read(context, max(request.min_position, page.position))
        page = page if page.position else Page(contents.position)
        record = contents.rankings.get(lineage)
        rankings = [ranking for ranking in (record.rankings if record else ()) if ranking.position <= page.position]
        shown, following = page.cut(rankings, request.page_size)
        return knowledge_pb2.ListFeatureHistoryResponse(
            rankings=map(feature_ranking, shown), next_page_token=following, position=page.position
        )

    def _read(self, context: grpc.ServicerContext, min_position: int) -> Contents:
        left = context.time_remaining()
        patience = PATIENCE_SECONDS if left is None else min(PATIENCE_SECONDS, SHARE_OF_DEADLINE * left)
        return self._book.wait(min_position, patience)


def _resolve(contents: Contents, pattern_id: str) -> PatternRecord:
    """The pattern with this id, or with the only id that begins so."""
    if not pattern_id:
        raise InvalidInput("pattern_id is empty; see ratchet patterns list", fields={"pattern_id": "empty"})
    exact = contents.patterns.get(pattern_id)
    if exact is not None:
        return exact
    matches = sorted(known for known in contents.patterns if known.startswith(pattern_id))
    if not matches:
        raise NotFound(
            f"no pattern's id is or begins with {pattern_id!r}; see ratchet patterns list",
            fields={"pattern_id": "unknown"},
        )
    if len(matches) > 1:
        more = f" and {len(matches) - SHOWN_MATCHES} more" if len(matches) > SHOWN_MATCHES else ""
        raise InvalidInput(
            f"{pattern_id!r} is the beginning of {', '.join(matches[:SHOWN_MATCHES])}{more}; give one more character",
            fields={"pattern_id": "ambiguous"},
        )
    return contents.patterns[matches[0]]


def _as_of(record: PatternRecord, position: int) -> View:
    found = view(record, position)
    assert found is not None, "a recorded pattern has at least the bars of its first test"
    return found


def _require_same_session(request: knowledge_pb2.RecordEvidenceRequest, trace: SessionTrace) -> None:
    sent = {tested.pattern.id for tested in request.tested if tested.evidence.spans}
    if trace.lineage != request.lineage or set(trace.pattern_ids) != sent:
        raise AlreadyExists(
            f"session {request.session_id} of {trace.lineage} has recorded other evidence at position {trace.position};"
            " a session records once: send the same again, or use a session of its own",
            fields={"session_id": "used before"},
        )


def _first_second_not_before(moment: Timestamp) -> int:
    return moment.seconds + (moment.nanos > 0)


def _surest_first(found: View) -> tuple[float, str]:
    return -found.counts.confidence, found.record.id


def _by_scope(found: View) -> tuple[str, str, float, str]:
    return found.record.definition.series, found.record.definition.task, *_surest_first(found)
