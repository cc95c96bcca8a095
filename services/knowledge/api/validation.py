"""Validation of requests, independent of the state. Each check raises InvalidInput that names the field."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import UTC, datetime
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import InvalidInput
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage

LONGEST_NAME = 128

Read: TypeAlias = (
    knowledge_pb2.GetKnowledgeRequest
    | knowledge_pb2.ListPatternsRequest
    | knowledge_pb2.GetPatternRequest
    | knowledge_pb2.ListSuccessRatesRequest
    | knowledge_pb2.ListFeatureHistoryRequest
)

ByMarketTime: TypeAlias = (
    knowledge_pb2.GetKnowledgeRequest | knowledge_pb2.ListPatternsRequest | knowledge_pb2.GetPatternRequest
)

OfSession: TypeAlias = (
    knowledge_pb2.RecordEvidenceRequest | knowledge_pb2.GetKnowledgeRequest | knowledge_pb2.ListFeatureHistoryRequest
)

_PATTERN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def evidence(request: knowledge_pb2.RecordEvidenceRequest) -> None:
    """A session's evidence: one lineage, a market time, each pattern once and of the lineage's series and task."""
    named("session_id", request.session_id)
    lineage = Lineage.parse(request.lineage)
    if str(lineage) != request.lineage:
        raise InvalidInput(f"{request.lineage!r} is written {lineage}", fields={"lineage": "not its shortest form"})
    if request.candidates_tested < 0:
        raise InvalidInput("candidates_tested is below 0", fields={"candidates_tested": "below 0"})
    if market_time(request) is None:
        raise InvalidInput(
            f"the evidence of session {request.session_id} has no market_time; send the last labelled bar of its data",
            fields={"market_time": "missing"},
        )
    for tested in request.tested:
        _tested(tested, lineage)
    twice = [name for name, times in Counter(tested.pattern.id for tested in request.tested).items() if times > 1]
    if twice:
        raise InvalidInput(
            f"pattern {twice[0]} is there twice; put all its spans into one piece of evidence",
            fields={"tested": "a pattern twice"},
        )
    if any(not feature.name for feature in request.features):
        raise InvalidInput("a ranked feature has no name", fields={"features": "no name"})


def named(field: str, value: str) -> None:
    if not 1 <= len(value) <= LONGEST_NAME:
        raise InvalidInput(
            f"{field} has {len(value)} characters; 1 to {LONGEST_NAME} are needed", fields={field: "wrong length"}
        )


def log_time(request: Read) -> datetime | None:
    """The requested log time, if the request has one; InvalidInput for a position below 0."""
    for name, position in (("min_position", request.min_position), ("as_of_position", request.as_of_position)):
        if position < 0:
            raise InvalidInput(f"{name} is {position}; positions begin at 1, 0 means none", fields={name: "below 0"})
    if not request.HasField("as_of_time"):
        return None
    asked = _moment("as_of_time", request.as_of_time)
    if request.as_of_position:
        raise InvalidInput(
            f"as_of_position is {request.as_of_position} and as_of_time {asked.isoformat()}: leave one of them out",
            fields={"as_of_position": "given with as_of_time", "as_of_time": "given with as_of_position"},
        )
    return asked


def known_before(request: ByMarketTime) -> int | None:
    """The label cutoff of a read in market time, if any, rounded up to whole epoch seconds, the resolution of bars."""
    if not request.HasField("known_before"):
        return None
    _moment("known_before", request.known_before)
    return request.known_before.seconds + (request.known_before.nanos > 0)


def market_time(request: OfSession) -> int | None:
    """The session's market time, if the request has one, in whole epoch seconds."""
    if not request.HasField("market_time"):
        return None
    _moment("market_time", request.market_time)
    return request.market_time.seconds


def _moment(field: str, message: Timestamp) -> datetime:
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{field} of {message.seconds} s is not a time of the years 1 to 9999", fields={field: "out of range"}
        ) from error


def _tested(tested: knowledge_pb2.TestedPattern, lineage: Lineage) -> None:
    pattern = tested.pattern
    if not _PATTERN_ID.fullmatch(pattern.id):
        raise InvalidInput(
            f"{pattern.id!r} is not a pattern's id: 1 to 64 of letters, digits, _ and -", fields={"tested": "not an id"}
        )
    if (pattern.series, pattern.task) != (str(lineage.series), str(lineage.task)):
        raise InvalidInput(
            f"pattern {pattern.id} is of {pattern.series}/{pattern.task}; the session trained {lineage}",
            fields={"tested": "another series or task"},
        )
    if not tested.evidence.dataset_digest:
        raise InvalidInput(
            f"the evidence for pattern {pattern.id} does not say from which dataset it is",
            fields={"tested": "no dataset_digest"},
        )
    if tested.HasField("p_value") and not 0.0 <= tested.p_value <= 1.0:
        raise InvalidInput(
            f"pattern {pattern.id}: a p value of {tested.p_value} lies outside 0 to 1", fields={"tested": "p_value"}
        )
    _rule(pattern)


def _rule(pattern: pattern_pb2.Pattern) -> None:
    conditions = pattern.rule.conditions
    if not 1 <= len(conditions) <= 2:
        raise InvalidInput(
            f"pattern {pattern.id} has {len(conditions)} conditions; a rule has one or two",
            fields={"tested": "number of conditions"},
        )
    for condition in conditions:
        known = condition.operator != pattern_pb2.OPERATOR_UNSPECIFIED
        if not condition.feature or not known or not math.isfinite(condition.threshold):
            raise InvalidInput(
                f"pattern {pattern.id}: a condition needs a feature, an operator and a finite threshold",
                fields={"tested": "an incomplete condition"},
            )
