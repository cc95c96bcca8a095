"""Promotions and rollbacks by people, alone and in a crowd."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ratchet.decisions.symbol import SymbolState
from ratchet.errors import ChampionMoved, InvalidInput, PreconditionFailed
from ratchet.events.v1 import decision_pb2
from ratchet.names import Series, Task
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.handlers.states import States
from tests.support.registry_client import FOREST, LOGISTIC, Registry

CROWD = 8


def promote(registry: Registry, version: int, expected: str) -> pb.Decision:
    request = pb.PromoteModelRequest(model=f"{FOREST}/v{version}", expected_champion=expected, reason="trust me")
    found: pb.Decision = registry.call(request, actor="ann").decision
    return found


def test_a_promotion_says_who_and_why_and_moves_the_symbol_too(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(FOREST, 221, 400, 0.0)
    decision = promote(registry, 2, f"{FOREST}/v1")
    assert (decision.actor, decision.promoted.reason) == ("ann", "trust me")
    assert decision.promoted.decided_by == decision_pb2.DECIDED_BY_PERSON
    assert registry.champion(FOREST).model.name == f"{FOREST}/v2"
    assert registry.best().model.name == f"{FOREST}/v2"
    assert registry.best().decision.promoted.basis == decision_pb2.BASIS_STAND_IN


def test_a_rollback_takes_the_champion_before_back(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(FOREST, 221, 400, 0.1)
    decision = registry.call(pb.RollbackChampionRequest(lineage=FOREST, reason="drift")).decision
    assert (decision.promoted.model, decision.promoted.rollback) == (f"{FOREST}/v1", True)
    with pytest.raises(PreconditionFailed, match="nothing to roll back to"):
        registry.call(pb.RollbackChampionRequest(lineage=FOREST, reason="drift"))


def test_a_champion_that_a_person_set_aside_comes_back_only_despite_that(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(FOREST, 221, 400, 0.1)
    promote(registry, 1, f"{FOREST}/v2")
    with pytest.raises(PreconditionFailed, match=f"{FOREST}/v2 was set aside by ann at .*Z: 'trust me'") as refused:
        registry.call(pb.RollbackChampionRequest(lineage=FOREST, reason="it was fine"))
    assert "--despite-cause" in refused.value.message
    asked = pb.RollbackChampionRequest(lineage=FOREST, reason="it was fine", despite_cause=True)
    assert registry.call(asked).decision.promoted.model == registry.champion(FOREST).model.name == f"{FOREST}/v2"


def test_after_a_rollback_the_best_remaining_champion_stands_in(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(FOREST, 221, 400, 0.1)
    registry.train(LOGISTIC, 400, 600, against_best=0.0)
    registry.call(pb.RollbackChampionRequest(lineage=FOREST, reason="drift"))
    assert registry.best().model.name == f"{LOGISTIC}/v1"
    assert registry.best().decision.promoted.HasField("stand_in_mean")


def test_what_is_refused(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    with pytest.raises(PreconditionFailed, match="already"):
        promote(registry, 1, f"{FOREST}/v1")
    with pytest.raises(ChampionMoved):
        promote(registry, 1, "")
    with pytest.raises(InvalidInput, match="reason"):
        registry.call(pb.PromoteModelRequest(model=f"{FOREST}/v1", expected_champion=f"{FOREST}/v1"))


def rounds_of_a_crowd(registry: Registry, rounds: int) -> None:
    """In each round every thread promotes another version from the same expected champion, all at once."""
    registry.train(FOREST, 100, 220)
    for number in range(CROWD):
        registry.train(FOREST, 221 + number, 400 + number, 0.0)
    barrier = threading.Barrier(CROWD)
    champion = f"{FOREST}/v1"

    def compete(version: int, expected: str) -> tuple[int, str]:
        barrier.wait()
        try:
            promote(registry, version, expected)
        except ChampionMoved as moved:
            return 0, moved.champion
        return version, ""

    with ThreadPoolExecutor(CROWD) as crowd:
        for _ in range(rounds):
            versions = [v for v in range(1, CROWD + 2) if f"{FOREST}/v{v}" != champion]
            expected = champion
            answers = list(crowd.map(lambda version, was=expected: compete(version, was), versions))
            [winner] = [version for version, _ in answers if version]
            champion = f"{FOREST}/v{winner}"
            assert {named for version, named in answers if not version} == {champion}
            assert registry.champion(FOREST).model.name == champion


def test_of_eight_who_promote_at_once_one_wins_and_the_others_learn_who(registry: Registry) -> None:
    rounds_of_a_crowd(registry, 20)


@pytest.mark.slow
def test_of_eight_who_promote_at_once_one_wins_many_rounds(registry: Registry) -> None:
    rounds_of_a_crowd(registry, 200)


def test_the_same_request_from_eight_threads_is_one_promotion(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(FOREST, 221, 400, 0.0)
    request = pb.PromoteModelRequest(
        request_id="once", model=f"{FOREST}/v2", expected_champion=f"{FOREST}/v1", reason="trust me"
    )
    barrier = threading.Barrier(CROWD)

    def send(_: int) -> pb.Decision:
        barrier.wait()
        found: pb.Decision = registry.call(request).decision
        return found

    with ThreadPoolExecutor(CROWD) as crowd:
        positions = {decision.position for decision in crowd.map(send, range(CROWD))}
    assert len(positions) == 1


def test_sessions_of_different_lineages_that_end_at_once_all_count(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    requests = [
        registry.trained(f"AAPL/range/{kind}", 221, 400, against_best=-0.1)
        for kind in ("logistic", "xgboost", "lstm", "gradient-boosting")
    ]
    with ThreadPoolExecutor(len(requests)) as crowd:
        answers = list(crowd.map(registry.record, requests))
    competing = sorted(answer.decisions[1].declined.competing_lineages for answer in answers)
    assert competing == [2, 3, 4, 5]


def test_a_lineage_that_begins_while_a_session_ends_counts(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins before the symbol is loaded: what is read of the other champions is never older than that."""
    registry.train(FOREST, 100, 220)
    ends, begins = (
        registry.trained(f"AAPL/range/{kind}", 221, 400, against_best=-0.1) for kind in ("logistic", "xgboost")
    )
    load = States.symbol

    def symbol(states: States, series: Series, task: Task) -> SymbolState:
        monkeypatch.setattr(States, "symbol", load)
        registry.record(begins)
        with pytest.raises(ChampionMoved):
            promote(registry, 1, "nobody")  # so that a state that all threads share has seen it
        return load(states, series, task)

    monkeypatch.setattr(States, "symbol", symbol)
    assert registry.record(ends).decisions[1].declined.competing_lineages == 3
