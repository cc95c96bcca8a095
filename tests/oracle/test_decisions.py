"""The registry's decisions, and those made again from its log, against a fold that shares no code with them."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.decisions.replay import DecisionReplay
from ratchet.events.v1 import facts_pb2
from ratchet.names import Lineage
from services.registry.eventlog import Query
from tests.oracle.history import Oracle
from tests.support.registry_model import BEGUN, LINEAGES, World, steps, world


def replayed(played: World) -> tuple[DecisionReplay, list[str]]:
    """The decisions of the world's log made again, with what was found."""
    replay, found, policies = DecisionReplay(), list[str](), dict[str, str]()
    for batch in played.log.read(Query()):
        for event in batch:
            message = event.fact.message
            found += replay.next_fact(event.position, event.stream)
            if isinstance(message, facts_pb2.TrainingRequested):
                policies[message.session_id] = message.policy
            elif isinstance(message, facts_pb2.ModelTrained):
                found += replay.trained(message, policies[message.record.session_id], event.position)
            elif isinstance(message, facts_pb2.TrainingCompleted):
                found += replay.completed(message)
            elif isinstance(message, facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined):
                found += replay.decided(message, event.position)
    return replay, [*found, *replay.finish()]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(steps, min_size=3, max_size=14))
def test_every_decision_is_the_one_that_the_independent_fold_expects(history: list[tuple[object, ...]]) -> None:
    with world() as played:
        for kind, *details in (*BEGUN, *history):
            played.do(str(kind), *details)
        messages = [event.fact.message for batch in played.log.read(Query()) for event in batch]
        oracle = Oracle()
        assert list(oracle.findings(messages)) == []
        replay, found = replayed(played)
        assert found == []
        assert replay.decisions == sum(
            isinstance(message, facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined) for message in messages
        )
        for name in LINEAGES:
            state, expected = played.states.lineage(Lineage.parse(name)), oracle.lineage(name)
            assert (state.versions, state.champion_name) == (expected.versions, expected.champion)
            assert {state.model(each.version): each.e_value for each in state.contenders} == expected.contenders
            assert {state.model(version): mean for version, mean in state.means.items()} == expected.means
            assert (state.decided_through, state.spent_through) == (expected.decided_through, expected.spent_through)
            symbol = played.states.symbol(Lineage.parse(name).series, Lineage.parse(name).task)
            problem = oracle.problem(symbol.name)
            assert (symbol.best, dict(symbol.means)) == (problem.best, problem.means)
            assert symbol.spent_through == problem.spent_through
