"""A pattern of one series offered to another, over gRPC: a candidate there, and kept only by evidence of its own."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import AlreadyExists, InvalidInput, NotFound, PreconditionFailed
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as pb
from ratchet.patterns.rule_text import pattern_id, text_of
from tests.support.knowledge_services import Knowing, World
from tests.support.planted_rule import FOREST, SERIES, TASK, Truth, first_test, met_again, session

TRUTH = Truth.drawn(1, bars=2000)
WEAK = Truth.drawn(2, bars=2000, hit_rate=0.45)
OTHER, OTHER_FOREST = "MSFT", "MSFT/range/random-forest"
OFFERED = pattern_pb2.PATTERN_STATE_OFFERED
CONFIRMED = pattern_pb2.PATTERN_STATE_CONFIRMED


@pytest.fixture
def source(knowing: Knowing) -> pb.KnownPattern:
    """A confirmed pattern of AAPL, as it was when it was found, and a refuted one."""
    found = [first_test(TRUTH, (0, 800)), first_test(WEAK, (0, 800), pattern_id="bb22")]
    answer: pb.RecordEvidenceResponse = knowing.ask(knowing.stub.RecordEvidence, session("s1", *found))
    return answer.patterns[0]


def offer(
    knowing: Knowing, named: str = "aa11", series: str = OTHER, reason: str = "same sector", request_id: str = "o1"
) -> pb.OfferPatternResponse:
    request = pb.OfferPatternRequest(request_id=request_id, pattern_id=named, series=series, reason=reason)
    answer: pb.OfferPatternResponse = knowing.ask(knowing.stub.OfferPattern, request)
    return answer


def knowledge(knowing: Knowing, **asked: Any) -> pb.GetKnowledgeResponse:
    request = pb.GetKnowledgeRequest(series=OTHER, task=TASK, **asked)
    answer: pb.GetKnowledgeResponse = knowing.ask(knowing.stub.GetKnowledge, request)
    return answer


def get(knowing: Knowing, named: str) -> pb.GetPatternResponse:
    answer: pb.GetPatternResponse = knowing.ask(knowing.stub.GetPattern, pb.GetPatternRequest(pattern_id=named))
    return answer


def own_test(candidate: pb.KnownPattern, truth: Truth = TRUTH) -> pb.TestedPattern:
    """The first test of the offered rule in the series that it was offered to."""
    return pb.TestedPattern(pattern=candidate.pattern, evidence=truth.evidence((100, 900)), p_value=0.001, passed=True)


def test_an_offered_pattern_is_a_candidate_whose_evidence_is_foreign(knowing: Knowing, source: pb.KnownPattern) -> None:
    answer = offer(knowing)
    there = answer.pattern
    assert there.pattern.id == pattern_id(text_of(source.pattern.rule), OTHER, TASK)
    assert (there.pattern.series, there.pattern.rule, there.state) == (OTHER, source.pattern.rule, OFFERED)
    assert there.counts == pattern_pb2.PatternCounts()
    assert not there.confidences
    assert not there.found_by
    assert not any(there.HasField(field) for field in ("evidence_end", "tested_through", "found_at"))
    foreign = there.offer
    assert (foreign.pattern_id, foreign.series, foreign.reason) == ("aa11", SERIES, "same sector")
    assert (foreign.state, foreign.counts) == (CONFIRMED, source.counts)
    assert foreign.offered_at.seconds > 0
    assert foreign.position == there.position == answer.position


def test_it_is_yet_to_be_tested_there_and_no_model_uses_it(knowing: Knowing, source: pb.KnownPattern) -> None:
    there = offer(knowing).pattern
    known = knowledge(knowing)
    assert not [*known.patterns, *known.tested_ids]
    assert not known.HasField("tested_through")
    assert list(knowledge(knowing, include_all=True).patterns) == [there]
    rates = knowing.ask(knowing.stub.ListSuccessRates, pb.ListSuccessRatesRequest(series=OTHER)).rates
    assert not rates
    [change] = get(knowing, there.pattern.id).history
    assert (change.state, change.reason, change.bars, change.dataset_digest) == (OFFERED, "same sector", 0, "")


def test_a_market_time_does_not_show_the_labels_behind_the_foreign_counts(
    knowing: Knowing, source: pb.KnownPattern
) -> None:
    offer(knowing)
    [there] = knowledge(knowing, include_all=True, known_before=Timestamp(seconds=TRUTH.time(5))).patterns
    assert (there.state, there.offer.pattern_id) == (OFFERED, "aa11")
    assert not there.offer.HasField("counts")
    assert there.offer.state == pattern_pb2.PATTERN_STATE_UNSPECIFIED


def test_its_own_evidence_alone_keeps_it(knowing: Knowing, source: pb.KnownPattern) -> None:
    candidate = offer(knowing).pattern
    request = session("m1", own_test(candidate), lineage=OTHER_FOREST)
    first = knowing.ask(knowing.stub.RecordEvidence, request)
    [there] = first.patterns
    assert (there.state, there.counts.bars, there.found_by) == (CONFIRMED, 800, OTHER_FOREST)
    assert there.counts.support == TRUTH.fired[100:900].sum()
    assert (list(there.confidences), there.offer) == ([there.counts.confidence], candidate.offer)
    assert [change.state for change in get(knowing, there.pattern.id).history] == [OFFERED, CONFIRMED]
    known = knowledge(knowing)
    assert (list(known.patterns), list(known.tested_ids)) == ([there], [there.pattern.id])
    assert known.tested_through.seconds == TRUTH.time(899)
    assert get(knowing, "aa11").pattern == source
    knowing.ask(
        knowing.stub.RecordEvidence,
        session(
            "m2",
            pb.TestedPattern(pattern=candidate.pattern, evidence=TRUTH.evidence((900, 950))),
            lineage=OTHER_FOREST,
        ),
    )
    assert get(knowing, there.pattern.id).pattern.counts.bars == 850
    assert knowing.ask(knowing.stub.RecordEvidence, request) == first


def test_what_held_elsewhere_is_refuted_where_it_does_not_hold(knowing: Knowing, source: pb.KnownPattern) -> None:
    candidate = offer(knowing).pattern
    request = session("m1", own_test(candidate, WEAK), lineage=OTHER_FOREST)
    [there] = knowing.ask(knowing.stub.RecordEvidence, request).patterns
    assert there.state == pattern_pb2.PATTERN_STATE_REFUTED
    assert not knowledge(knowing).patterns


@pytest.mark.parametrize(("missing", "word"), [("p_value", "without the p value"), ("evidence", "which dataset")])
def test_the_first_evidence_of_an_offered_pattern_is_a_whole_test(
    knowing: Knowing, source: pb.KnownPattern, missing: str, word: str
) -> None:
    tested = own_test(offer(knowing).pattern)
    tested.ClearField(missing)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=word) as caught:
        knowing.ask(knowing.stub.RecordEvidence, session("m1", tested, lineage=OTHER_FOREST))
    assert set(caught.value.fields) == {"tested"}
    assert not knowledge(knowing).tested_ids


def test_an_offer_that_is_sent_again_gets_the_first_answer(
    world: World, knowing: Knowing, source: pb.KnownPattern
) -> None:
    first = offer(knowing, "aa")
    request = session("m1", own_test(first.pattern), lineage=OTHER_FOREST)
    position = knowing.ask(knowing.stub.RecordEvidence, request).position
    again = world.start_knowledge()
    assert offer(knowing, "aa") == offer(again, "aa11") == first
    assert knowledge(again).position == position
    with pytest.raises(AlreadyExists):
        offer(knowing, "aa11", series="IBM")


def test_an_offer_names_a_pattern_that_holds_another_series_and_a_reason(
    knowing: Knowing, source: pb.KnownPattern
) -> None:
    map_errors: list[tuple[dict[str, str], type[Exception], str]] = [
        ({"series": "EUR/USD"}, InvalidInput, "try EUR-USD"),
        ({"series": SERIES}, InvalidInput, "another series"),
        ({"reason": " "}, InvalidInput, "needs a reason"),
        ({"request_id": ""}, InvalidInput, "request_id has 0 characters"),
        ({"named": ""}, InvalidInput, "pattern_id is empty"),
        ({"named": "zz"}, NotFound, "see ratchet patterns list"),
        ({"named": "bb22"}, PreconditionFailed, "refuted"),
    ]
    before = knowledge(knowing).position
    for wrong, kind, word in map_errors:
        with pytest.raises(kind, match=word):
            offer(knowing, **wrong)
    assert knowledge(knowing).position == before
    there = offer(knowing).pattern.pattern.id
    with pytest.raises(PreconditionFailed, match=f"known in MSFT/range as offered .{there}"):
        offer(knowing, request_id="o2")
    request = pb.RetirePatternRequest(request_id="r1", pattern_id=there, reason="why not")
    with pytest.raises(PreconditionFailed, match="only offered to MSFT"):
        knowing.ask(knowing.stub.RetirePattern, request)


def test_what_happens_to_the_source_later_leaves_the_offer_as_it_was(knowing: Knowing, source: pb.KnownPattern) -> None:
    there = offer(knowing).pattern
    turned = Truth.drawn(1, bars=2000, hit_rate=0.2)
    knowing.ask(knowing.stub.RecordEvidence, session("s2", met_again(turned, (800, 1900)), lineage=FOREST))
    assert get(knowing, "aa11").pattern.state == pattern_pb2.PATTERN_STATE_RETIRED
    assert get(knowing, there.pattern.id).pattern == there
