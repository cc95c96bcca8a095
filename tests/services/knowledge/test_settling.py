"""What a batch changes for the other patterns of its scope is recorded with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from services.knowledge.domain import pattern_views
from services.knowledge.domain.decide import retire
from services.knowledge.domain.rules import State
from services.knowledge.domain.subsumption_updates import with_subsumption_updates
from services.knowledge.handlers.application import evidence_facts
from services.knowledge.projection.state import KnowledgeState, fold
from services.platform.facts import Fact
from tests.support.planted_rule import LOGISTIC, SERIES, SNAPSHOTS, TASK, Truth, met_again, narrowed, pattern, session

SIMPLE = Truth.drawn(1, 1600)
TWIN = replace(SIMPLE, fired=SIMPLE.fired & (np.arange(1600) % 20 > 0))
FADING = replace(SIMPLE, outcomes=SIMPLE.outcomes.copy())
FADING.outcomes[800:] = Truth.drawn(1, 1600, hit_rate=0.1).outcomes[800:]


def brought_by(definition: pattern_pb2.Pattern, truth: Truth, start: int, stop: int) -> knowledge_pb2.TestedPattern:
    return knowledge_pb2.TestedPattern(
        pattern=definition, evidence=truth.evidence((start, stop)), p_value=0.001, passed=True
    )


def appended(state: KnowledgeState, facts: list[Fact]) -> KnowledgeState:
    first = state.position + 1
    return fold(state, list(enumerate(facts, first)), state.position + len(facts))


def both(second: str = "simple") -> KnowledgeState:
    """Two sessions: one brings the simple rule, the other its twin with two conditions; `second` comes second."""
    brought = {
        "simple": brought_by(pattern("simple"), SIMPLE, 0, 600),
        "twin": brought_by(narrowed("twin"), TWIN, 0, 600),
    }
    state = KnowledgeState(snapshots=SNAPSHOTS)
    for name in sorted(brought, key=lambda each: each == second):
        state = appended(state, evidence_facts(session(f"s-{name}", brought[name]), state))
    return state


def test_a_newcomer_that_a_known_pattern_covers_is_discovered_as_covered() -> None:
    state = both(second="twin")
    [change] = state.patterns["twin"].changes
    message = change.message
    assert isinstance(message, facts_pb2.PatternDiscovered)
    assert (message.state, message.covered_by) == (pattern_pb2.PATTERN_STATE_COVERED, "simple")
    assert state.patterns["simple"].state.active


def test_a_known_pattern_that_a_newcomer_covers_gets_a_fact_without_evidence() -> None:
    state = both(second="simple")
    _, change = state.patterns["twin"].changes
    message = change.message
    assert isinstance(message, facts_pb2.PatternValidated)
    assert (change.state, change.covered_by, change.session_id) == (State.COVERED, "simple", "")
    assert not message.evidence.spans
    assert message.before == message.after


def test_a_sessions_trace_holds_its_own_patterns_only_and_ends_its_batch() -> None:
    before = both(second="twin")
    facts = evidence_facts(session("s9", met_again(FADING, (800, 1500), pattern_id="simple"), lineage=LOGISTIC), before)
    assert [fact.stream for fact in facts] == ["pattern/twin", "pattern/simple", f"features/{LOGISTIC}"]
    assert {fact.causation_id for fact in facts} == {"s9"}
    state = appended(before, facts)
    assert state.sessions["s9"].pattern_ids == ("simple",)
    assert state.sessions["s9"].position == state.position


def retold(definition: str, truth: Truth, start: int, stop: int) -> knowledge_pb2.TestedPattern:
    return met_again(truth, (start, stop), pattern_id=definition)


def test_what_a_pattern_covered_is_free_again_when_the_gate_retires_it() -> None:
    before = both(second="twin")
    state = appended(before, evidence_facts(session("s9", retold("simple", FADING, 800, 1500)), before))
    assert state.patterns["simple"].state is State.RETIRED
    assert (state.patterns["twin"].state, state.patterns["twin"].covered_by) == (State.CONFIRMED, "")
    assert state.patterns["twin"].counts == before.patterns["twin"].counts


def test_what_a_pattern_covered_is_free_again_when_a_person_retires_it() -> None:
    before = both(second="twin")
    facts = with_subsumption_updates(
        before.scope(SERIES, TASK), [retire(before.patterns["simple"], "the data was wrong")], SNAPSHOTS, "r1"
    )
    state = appended(before, facts)
    assert [fact.stream for fact in facts] == ["pattern/twin", "pattern/simple"]
    assert (state.patterns["simple"].state, state.patterns["twin"].state) == (State.RETIRED, State.CONFIRMED)


def test_a_covered_pattern_goes_on_being_validated_as_covered() -> None:
    before = both(second="twin")
    request = session("s9", knowledge_pb2.TestedPattern(pattern=narrowed("twin"), evidence=TWIN.evidence((600, 900))))
    state = appended(before, evidence_facts(request, before))
    found = state.patterns["twin"]
    assert (found.state, found.covered_by, found.counts.bars) == (State.COVERED, "simple", 900)


def test_covering_is_worked_out_anew_for_a_market_time() -> None:
    """The simple rule is tested later: before that its twin stands alone."""
    state = KnowledgeState(snapshots=SNAPSHOTS)
    for name, piece in (
        ("s1", brought_by(narrowed("twin"), TWIN, 0, 600)),
        ("s2", brought_by(pattern("simple"), SIMPLE, 300, 1200)),
    ):
        state = appended(state, evidence_facts(session(name, piece), state))
    scope = state.scope(SERIES, TASK)

    def states(before: int | None) -> dict[str, State]:
        return {found.record.id: found.state for found in pattern_views.views(scope, None, before)}

    assert states(None) == {"twin": State.COVERED, "simple": State.CONFIRMED}
    assert states(SIMPLE.time(1201)) == states(None)
    assert states(SIMPLE.time(700)) == {"twin": State.CONFIRMED, "simple": State.UNDECIDED}
    assert states(SIMPLE.time(300)) == {"twin": State.UNDECIDED}
