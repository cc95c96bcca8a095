"""A pattern offered to another series: there it is a candidate, and nothing that was seen elsewhere counts for it."""

from __future__ import annotations

import pytest

from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.patterns.rule_text import pattern_id, text_of
from services.knowledge.domain.decide import offer, record_evidence, retire
from services.knowledge.domain.pattern import PatternRecord, evolve, view
from services.knowledge.domain.rules import State
from services.platform.facts import Fact
from tests.support.planted_rule import SNAPSHOTS, TASK, Truth, first_test, session

GOOD = Truth.drawn(1, bars=2000)


def source(passed: bool = True) -> PatternRecord:
    fact = record_evidence(None, first_test(GOOD, (0, 800), passed=passed), session("s"), SNAPSHOTS)
    assert fact is not None
    return evolve(None, fact, SNAPSHOTS, 1)


def offered() -> tuple[Fact, PatternRecord]:
    fact = offer(source(), "MSFT", "it is a rule of the sector", None)
    return fact, evolve(None, fact, SNAPSHOTS, 2)


def brought_by(record: PatternRecord, passed: bool) -> knowledge_pb2.TestedPattern:
    return knowledge_pb2.TestedPattern(
        pattern=record.definition, evidence=GOOD.evidence((0, 800)), p_value=0.001, passed=passed
    )


def test_an_offer_has_the_id_of_the_rule_in_that_series_and_no_evidence() -> None:
    fact, record = offered()
    message = fact.message
    assert isinstance(message, facts_pb2.PatternOffered)
    definition = source().definition
    assert record.id == pattern_id(text_of(definition.rule), "MSFT", TASK)
    assert (record.definition.series, record.definition.rule) == ("MSFT", definition.rule)
    assert (message.from_pattern_id, message.from_series) == (definition.id, definition.series)
    assert message.from_state == pattern_pb2.PATTERN_STATE_CONFIRMED
    assert message.foreign == source().counts.message()
    assert (record.state, record.admitted, len(record.evidence), record.tested_through()) == (
        State.OFFERED,
        False,
        0,
        None,
    )
    assert record.offer == message


def test_an_offer_is_known_from_log_time_alone() -> None:
    _, record = offered()
    assert view(record, 1) is None
    for found in (view(record), view(record, 2), view(record, 2, GOOD.time(0))):
        assert found is not None
        assert (found.state, found.counts.bars, len(found.evidence)) == (State.OFFERED, 0, 0)


@pytest.mark.parametrize(("passed", "state"), [(True, State.CONFIRMED), (False, State.REFUTED)])
def test_what_is_offered_is_kept_by_its_own_evidence_only(passed: bool, state: State) -> None:
    _, record = offered()
    fact = record_evidence(record, brought_by(record, passed), session("s2", lineage="MSFT/range/logistic"), SNAPSHOTS)
    assert fact is not None
    assert (fact.version, type(fact.message)) == (2, facts_pb2.PatternDiscovered)
    found = evolve(record, fact, SNAPSHOTS, 3)
    assert (found.state, found.counts.bars, found.admitted) == (state, 800, passed)
    before = view(found, 3, GOOD.time(0))
    assert before is not None
    assert before.state is State.OFFERED
    assert (view(found).validations, found.offer) == (0, record.offer)  # type: ignore[union-attr]


def test_the_first_bars_of_what_is_offered_need_a_p_value() -> None:
    _, record = offered()
    with pytest.raises(InvalidInput, match="without the p value"):
        record_evidence(
            record,
            knowledge_pb2.TestedPattern(pattern=record.definition, evidence=GOOD.evidence((0, 9))),
            session("s"),
            SNAPSHOTS,
        )


def test_only_what_holds_may_be_offered_to_another_series_and_once() -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        offer(source(), "MSFT", " ", None)
    with pytest.raises(InvalidInput, match="of AAPL itself"):
        offer(source(), "AAPL", "why not", None)
    with pytest.raises(PreconditionFailed, match="is refuted in AAPL/range"):
        offer(source(passed=False), "MSFT", "why not", None)
    _, there = offered()
    with pytest.raises(PreconditionFailed, match=r"known in MSFT/range as offered .*: a rule gets one test"):
        offer(source(), "MSFT", "why not", there)


def test_an_offer_can_not_be_retired_or_validated() -> None:
    _, record = offered()
    with pytest.raises(PreconditionFailed, match="only offered to MSFT"):
        retire(record, "why not")
    orphan = facts_pb2.PatternValidated(pattern_id=record.id, state=pattern_pb2.PATTERN_STATE_KEPT)
    with pytest.raises(InvalidInput, match="can't be version 2"):
        evolve(record, Fact(f"pattern/{record.id}", 2, orphan), SNAPSHOTS)


def test_an_offer_does_not_follow_a_test() -> None:
    fact, record = offered()
    found = record_evidence(record, brought_by(record, True), session("s2"), SNAPSHOTS)
    assert found is not None
    with pytest.raises(InvalidInput, match="can't be version 1"):
        evolve(evolve(record, found, SNAPSHOTS), fact, SNAPSHOTS)
    with pytest.raises(InvalidInput, match="can't be version 2"):
        evolve(evolve(record, found, SNAPSHOTS), found, SNAPSHOTS)
