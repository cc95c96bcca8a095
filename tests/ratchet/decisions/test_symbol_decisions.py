"""Which champion is the best of its series and task."""

from __future__ import annotations

import pytest

from ratchet.decisions import symbol
from ratchet.decisions.bar_times import BEGINNING
from ratchet.decisions.comparison import GateSettings, KnowledgeCutoff, compare
from ratchet.decisions.symbol import Challenge, ChampionChange, SymbolState
from ratchet.errors import ChampionMoved
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.names import Policy
from services.platform.facts import Fact
from tests.support.registry_samples import bar, evidence, stamp

FOREST, LOGISTIC = "AAPL/range/random-forest", "AAPL/range/logistic"
BEST = SymbolState("AAPL/range", version=1, best=f"{FOREST}/v1")


def new_champion(
    model: str, replaced: str = "", by_person: bool = False, policy: Policy = "balanced"
) -> ChampionChange:
    return ChampionChange(
        facts_pb2.ModelPromoted(
            scope=decision_pb2.SCOPE_LINEAGE,
            lineage=model.rpartition("/")[0],
            model=model,
            replaced=replaced,
            policy="" if by_person else policy,
            decided_by=decision_pb2.DECIDED_BY_PERSON if by_person else decision_pb2.DECIDED_BY_GATE,
            reason="drift",
            decided_through=stamp(400),
        )
    )


def challenge(
    packed: bytes,
    best: str = f"{FOREST}/v1",
    contender: str = f"{LOGISTIC}/v1",
    lineages: int = 2,
    spent_through: int = BEGINNING,
    state: SymbolState = BEST,
) -> Challenge:
    trigger = declined(f"{LOGISTIC}/v7", contender)
    settings = symbol.gate_settings(state, trigger, lineages, bar(1000), spent_through)
    cutoffs = (KnowledgeCutoff(model, bar(100)) for model in (best, contender))
    return Challenge(compare(*cutoffs, packed, settings), bar(1000))


def declined(model: str, champion: str, policy: Policy = "balanced") -> facts_pb2.PromotionDeclined:
    """A session of a lineage after which its champion stays."""
    return facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=champion.rpartition("/")[0],
        model=model,
        champion=champion,
        session_id="s1",
        policy=policy,
        decided_through=stamp(2000),
    )


def e_value(packed: bytes) -> float:
    return compare(
        KnowledgeCutoff("a", 0), KnowledgeCutoff("b", 0), packed, GateSettings(1, "balanced", bar(1000))
    ).judgement.e_value


def after(state: SymbolState, message: symbol.Decision) -> SymbolState:
    found = symbol.project(state, [Fact("symbol/AAPL/range", state.version + 1, message)])
    assert found is not None
    return found


def test_the_first_lineage_is_the_best_without_a_comparison() -> None:
    fact = symbol.decide(SymbolState("AAPL/range"), new_champion(f"{FOREST}/v1"), [f"{FOREST}/v1"], None)
    assert isinstance(fact, facts_pb2.ModelPromoted)
    assert fact.basis == decision_pb2.BASIS_FIRST
    assert after(SymbolState("AAPL/range"), fact).best == f"{FOREST}/v1"


def test_a_better_rival_takes_over() -> None:
    change, two = new_champion(f"{LOGISTIC}/v1"), [f"{FOREST}/v1", f"{LOGISTIC}/v1"]
    fact = symbol.decide(BEST, change, two, challenge(evidence(101, 300, 0.1)))
    assert isinstance(fact, facts_pb2.ModelPromoted)
    assert (fact.replaced, fact.competing_lineages) == (f"{FOREST}/v1", 2)
    assert fact.basis == decision_pb2.BASIS_EVIDENCE
    assert after(BEST, fact).means == {f"{FOREST}/v1": -fact.evidence[0].judgement.mean_difference.value}


def test_each_competing_lineage_raises_the_bar() -> None:
    packed = next(
        found for found in (evidence(101, 230, 0.05, seed, hit=0.6) for seed in range(100)) if 20 <= e_value(found) < 40
    )
    change = new_champion(f"{LOGISTIC}/v1")
    alone = symbol.decide(BEST, change, [f"{LOGISTIC}/v1"], challenge(packed, lineages=1))
    among_two = symbol.decide(BEST, change, [f"{FOREST}/v1", f"{LOGISTIC}/v1"], challenge(packed))
    assert isinstance(alone, facts_pb2.ModelPromoted)
    assert isinstance(among_two, facts_pb2.PromotionDeclined)
    assert among_two.competing_lineages == 2


def test_fewer_than_120_common_bars_are_inconclusive() -> None:
    change, two = new_champion(f"{LOGISTIC}/v1"), [f"{FOREST}/v1", f"{LOGISTIC}/v1"]
    for packed in (evidence(101, 219, 0.12), evidence(101, 219, -0.12), evidence(101, 100, 0.12)):
        fact = symbol.decide(BEST, change, two, challenge(packed))
        assert isinstance(fact, facts_pb2.PromotionDeclined)
        assert fact.verdict == decision_pb2.VERDICT_INCONCLUSIVE
        assert fact.basis == decision_pb2.BASIS_EVIDENCE


def test_a_successor_in_the_lineage_of_the_best_takes_its_place_on_the_same_evidence() -> None:
    change = new_champion(f"{FOREST}/v2", f"{FOREST}/v1")
    scored = compare(
        KnowledgeCutoff(f"{FOREST}/v1", bar(100)),
        KnowledgeCutoff(f"{FOREST}/v2", bar(100)),
        evidence(101, 300, 0.1),
        GateSettings(1, "balanced", bar(300)),
    )
    change.promoted.evidence.append(scored)
    fact = symbol.decide(BEST, change, [f"{FOREST}/v2", f"{LOGISTIC}/v1"], None)
    assert isinstance(fact, facts_pb2.ModelPromoted)
    assert (fact.model, list(fact.evidence), fact.competing_lineages) == (f"{FOREST}/v2", [scored], 1)


def test_evidence_against_another_best_is_refused_with_the_one_in_force() -> None:
    with pytest.raises(ChampionMoved) as refused:
        symbol.require_best(BEST, f"{FOREST}/v9")
    assert refused.value.champion == f"{FOREST}/v1"


class TestAChampionThatStays:
    STAYS = declined(f"{LOGISTIC}/v7", f"{LOGISTIC}/v1")

    def test_is_judged_by_the_same_gate_as_a_new_one(self) -> None:
        for packed in (evidence(101, 300, 0.1), evidence(101, 300, -0.1), evidence(101, 219, 0.1)):
            brought = challenge(packed)
            new = symbol.decide(BEST, new_champion(f"{LOGISTIC}/v1"), [f"{FOREST}/v1", f"{LOGISTIC}/v1"], brought)
            standing = symbol.decide_unchanged(BEST, self.STAYS, 2, brought)
            assert type(standing) is type(new)
            assert (standing.model, standing.basis) == (f"{LOGISTIC}/v1", new.basis)
            assert (list(standing.evidence), standing.competing_lineages) == (list(new.evidence), 2)

    def test_takes_over_by_the_gate_in_the_name_of_the_session(self) -> None:
        fact = symbol.decide_unchanged(BEST, self.STAYS, 2, challenge(evidence(101, 300, 0.1)))
        assert isinstance(fact, facts_pb2.ModelPromoted)
        assert (fact.scope, fact.decided_by) == (decision_pb2.SCOPE_SYMBOL, decision_pb2.DECIDED_BY_GATE)
        assert (fact.lineage, fact.replaced, fact.session_id) == (LOGISTIC, f"{FOREST}/v1", "s1")
        assert fact.decided_through == stamp(1000)
        assert after(BEST, fact).best == f"{LOGISTIC}/v1"

    def test_needs_a_bar_since_its_pair_was_decided_on(self) -> None:
        assert symbol.needs_evidence(BEST, self.STAYS, bar(1000))
        state = after(BEST, symbol.decide_unchanged(BEST, self.STAYS, 2, challenge(evidence(101, 300, 0.0))))
        assert not symbol.needs_evidence(state, self.STAYS, bar(1000))
        assert symbol.needs_evidence(state, self.STAYS, bar(1001))
        another = declined(f"{LOGISTIC}/v7", f"{LOGISTIC}/v2")
        assert symbol.needs_evidence(state, another, bar(1000))

    def test_a_loser_needs_a_new_bar_to_come_back_and_others_face_a_new_best(self) -> None:
        state = after(BEST, symbol.decide_unchanged(BEST, self.STAYS, 2, challenge(evidence(101, 300, 0.1))))
        before = declined(f"{FOREST}/v2", f"{FOREST}/v1")
        assert not symbol.needs_evidence(state, before, bar(1000))
        assert symbol.needs_evidence(state, before, bar(1001))
        assert symbol.needs_evidence(state, declined("AAPL/range/lstm/v2", "AAPL/range/lstm/v1"), bar(1000))

    def test_is_not_compared_with_itself(self) -> None:
        assert not symbol.needs_evidence(BEST, declined(f"{FOREST}/v2", f"{FOREST}/v1"), bar(1000))

    def test_is_judged_on_bars_after_a_decision_of_a_person_in_its_lineage(self) -> None:
        by_person = new_champion(f"{LOGISTIC}/v1", f"{LOGISTIC}/v2", by_person=True)
        state = after(BEST, symbol.decide(BEST, by_person, [f"{FOREST}/v1", f"{LOGISTIC}/v1"], None))
        assert not symbol.needs_evidence(state, self.STAYS, bar(400))
        assert symbol.needs_evidence(state, self.STAYS, bar(401))
        brought = challenge(evidence(101, 500, 0.1), spent_through=bar(400))
        fact = symbol.decide_unchanged(state, self.STAYS, 2, brought)
        assert (fact.evidence[0].first_bar, fact.evidence[0].judgement.bars) == (stamp(401), 100)


class TestWhenAPersonRemovesTheBest:
    IN_FORCE = (f"{FOREST}/v2", f"{LOGISTIC}/v4", "AAPL/range/xgboost/v1")

    def test_the_remaining_champion_with_the_best_paired_mean_stands_in(self) -> None:
        contender = challenge(evidence(101, 300, -0.1), contender=f"{LOGISTIC}/v4")
        state = after(BEST, symbol.decide(BEST, new_champion(f"{LOGISTIC}/v4"), self.IN_FORCE, contender))
        removed = new_champion(f"{FOREST}/v2", f"{FOREST}/v1", by_person=True)
        fact = symbol.decide(state, removed, self.IN_FORCE, None)
        assert isinstance(fact, facts_pb2.ModelPromoted)
        assert (fact.model, fact.lineage) == (f"{LOGISTIC}/v4", LOGISTIC)
        assert (fact.basis, fact.reason) == (decision_pb2.BASIS_STAND_IN, "drift")
        assert fact.stand_in_mean == state.means[f"{LOGISTIC}/v4"] < 0.0

    def test_without_any_mean_the_new_champion_of_the_lineage_stands_in(self) -> None:
        removed = new_champion(f"{FOREST}/v2", f"{FOREST}/v1", by_person=True)
        fact = symbol.decide(BEST, removed, [f"{FOREST}/v2", f"{LOGISTIC}/v4"], None)
        assert fact.model == f"{FOREST}/v2"
        assert isinstance(fact, facts_pb2.ModelPromoted)
        assert fact.basis == decision_pb2.BASIS_STAND_IN
        assert not fact.HasField("stand_in_mean")

    def test_and_only_later_bars_count_for_the_next(self) -> None:
        removed = new_champion(f"{FOREST}/v2", f"{FOREST}/v1", by_person=True)
        state = after(BEST, symbol.decide(BEST, removed, [f"{FOREST}/v2"], None))
        packed, contender = evidence(301, 500, 0.1), new_champion(f"{LOGISTIC}/v1")
        fact = symbol.decide(state, contender, ["a", "b"], challenge(packed, f"{FOREST}/v2", state=state))
        assert fact.evidence[0].judgement.bars == 100
        assert fact.evidence[0].first_bar == stamp(401)


def test_a_person_who_promotes_elsewhere_leaves_the_best_alone() -> None:
    change = new_champion(f"{LOGISTIC}/v2", f"{LOGISTIC}/v1", by_person=True)
    fact = symbol.decide(BEST, change, [f"{FOREST}/v1", f"{LOGISTIC}/v2"], None)
    assert isinstance(fact, facts_pb2.PromotionDeclined)
    assert fact.verdict == decision_pb2.VERDICT_NO_NEW_EVIDENCE
    assert after(BEST, fact).best == f"{FOREST}/v1"
