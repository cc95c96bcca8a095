"""What a person does to patterns: whatever the request is called, and caused by no session."""

from __future__ import annotations

from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as pb
from tests.support.knowledge_services import Knowing, World
from tests.support.planted_rule import Truth, first_test, narrowed, session

TRUTH = Truth.drawn(1, bars=1000)


def retire(knowing: Knowing, pattern_id: str, request_id: str) -> pb.RetirePatternResponse:
    request = pb.RetirePatternRequest(request_id=request_id, pattern_id=pattern_id, reason="a bad data file")
    return knowing.ask(knowing.stub.RetirePattern, request)


def test_a_request_id_may_hold_any_letter(knowing: Knowing) -> None:
    knowing.ask(knowing.stub.RecordEvidence, session("s1", first_test(TRUTH, (0, 800))))
    answer = retire(knowing, "aa11", "Anträge/größer")
    assert answer.pattern.state == pattern_pb2.PATTERN_STATE_RETIRED
    assert retire(knowing, "aa11", "Anträge/größer") == answer


def test_what_a_person_sets_free_names_no_session_as_its_cause(world: World, knowing: Knowing) -> None:
    """The log verifies only where each cause was there before."""
    twin = pb.TestedPattern(pattern=narrowed("twin"), evidence=TRUTH.evidence((0, 800)), p_value=0.001, passed=True)
    knowing.ask(knowing.stub.RecordEvidence, session("s1", first_test(TRUTH, (0, 800)), twin))
    before = world.client().head()
    retire(knowing, "aa11", "r1")
    following = world.client().follow(before, ["pattern/"])
    facts, _ = next(following)
    following.cancel()
    assert [fact.stream for _, fact in facts] == ["pattern/twin", "pattern/aa11"]
    assert {fact.causation_id for _, fact in facts} == {""}
