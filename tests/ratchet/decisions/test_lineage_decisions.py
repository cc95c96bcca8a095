"""What a lineage decides, without a server: states folded from facts, commands in, facts out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from ratchet.decisions import gate, lineage
from ratchet.decisions.comparison import judgement_message
from ratchet.decisions.diagnosis import Alternatives, of_decline
from ratchet.decisions.evidence import pack, unpack
from ratchet.decisions.lineage import LineageState
from ratchet.decisions.training import Comparison, Outcome, RecordTraining, record_training
from ratchet.errors import ChampionMoved, Conflict, InvalidInput, NotFound, PreconditionFailed
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import MODEL_TYPES
from services.platform.facts import Fact
from tests.support.registry_samples import bar, evidence, record, stamp

NAME = "AAPL/range/random-forest"
EMPTY = LineageState(NAME)


def command(
    fit_end: int, last: int, pairs: dict[str, bytes], champion: str = f"{NAME}/v1", **more: object
) -> RecordTraining:
    """A session whose model knows labels up to bar `fit_end`; `pairs`: packed evidence by contender, "" its own."""
    base = RecordTraining(
        session_id="s",
        policy="balanced",
        record=record(fit_end),
        expected_champion=champion,
        comparisons=tuple(Comparison(champion, contender, packed) for contender, packed in pairs.items()),
        last_labelled=bar(last),
    )
    return replace(base, **more)  # type: ignore[arg-type]


def after(state: LineageState, *messages: object) -> LineageState:
    facts = [Fact(f"lineage/{NAME}", state.version + k, m) for k, m in enumerate(messages, start=1)]  # type: ignore[arg-type]
    found = lineage.project(state if state.version else None, facts)
    assert found is not None
    return found


def train(state: LineageState, asked: RecordTraining) -> tuple[LineageState, Outcome]:
    outcome = record_training(state, asked)
    return after(state, outcome.trained, outcome.decision), outcome


@pytest.fixture
def v1() -> LineageState:
    return train(EMPTY, command(100, 220, {}, champion=""))[0]


def promoted(outcome: Outcome) -> facts_pb2.ModelPromoted:
    assert isinstance(outcome.decision, facts_pb2.ModelPromoted)
    return outcome.decision


def declined(outcome: Outcome) -> facts_pb2.PromotionDeclined:
    assert isinstance(outcome.decision, facts_pb2.PromotionDeclined)
    return outcome.decision


class TestTheGate:
    def test_the_first_model_is_promoted_because_there_is_nothing_to_compare_it_with(self) -> None:
        state, outcome = train(EMPTY, command(100, 220, {}, champion=""))
        assert promoted(outcome).basis == decision_pb2.BASIS_FIRST
        assert promoted(outcome).reason == ""
        assert (state.champion, state.versions, state.decided_through) == (1, 1, bar(220))
        assert (outcome.verdict, outcome.promoted) == (decision_pb2.VERDICT_PROMOTED, True)

    def test_a_better_challenger_replaces_the_champion_and_says_on_what(self, v1: LineageState) -> None:
        state, outcome = train(v1, command(200, 400, {"": evidence(221, 400, 0.1)}))
        fact = promoted(outcome)
        assert (state.champion, state.previous, outcome.promoted) == (2, 1, True)
        assert fact.replaced == f"{NAME}/v1"
        assert (fact.basis, fact.reason) == (decision_pb2.BASIS_EVIDENCE, "")
        [found] = fact.evidence
        assert (found.contender, found.judgement.bars, found.judgement.minority_bars > 60) == (f"{NAME}/v2", 180, True)

    def test_a_worse_challenger_is_rejected_and_leaves_the_race(self, v1: LineageState) -> None:
        state, outcome = train(v1, command(200, 400, {"": evidence(221, 400, -0.1)}))
        assert declined(outcome).verdict == decision_pb2.VERDICT_REJECTED
        assert state.champion == 1
        assert state.contenders == ()
        assert declined(outcome).basis == decision_pb2.BASIS_EVIDENCE

    def test_an_undecided_challenger_stays_as_a_contender_with_a_diagnosis(self, v1: LineageState) -> None:
        state, outcome = train(v1, command(200, 400, {"": evidence(221, 400, 0.0)}))
        fact = declined(outcome)
        assert fact.verdict == decision_pb2.VERDICT_INCONCLUSIVE
        assert state.contender_names == (f"{NAME}/v2",) == tuple(fact.contenders_kept)
        assert kinds(outcome) == ["inconclusive"]
        assert advised(fact.diagnosis[0]) == ["IMPORT_NEWER_BARS", "TRY_UNTRIED_TYPE har"]

    def test_the_next_type_is_the_simplest_that_was_not_tried_and_the_best_when_all_were(
        self, v1: LineageState
    ) -> None:
        own = decision_pb2.Evidence()

        def next_type(tried: frozenset[str], best: str = "") -> list[str]:
            [found] = of_decline(v1, record(200), own, (), Alternatives(tried, best))
            return advised(found)[1:]

        every = frozenset(MODEL_TYPES)
        assert next_type(frozenset()) == ["TRY_UNTRIED_TYPE har"]
        for kind in every - {"random-forest"}:
            assert next_type(every - {kind}) == [f"TRY_UNTRIED_TYPE {kind}"]
        assert next_type(every, "AAPL/range/logistic/v3") == ["TRY_BEST_TYPE logistic"]
        assert next_type(every, "AAPL/range/random-forest/v3") == []

    def test_of_several_that_pass_the_one_with_the_largest_e_is_promoted(self, v1: LineageState) -> None:
        state, _ = train(v1, command(200, 300, {"": evidence(221, 300, 0.0)}))
        pairs = {f"{NAME}/v2": evidence(221, 400, 0.12), "": evidence(301, 400, 0.1)}
        state, outcome = train(state, command(250, 400, pairs))
        assert promoted(outcome).model == f"{NAME}/v2"
        assert (state.champion, state.contenders) == (2, ())
        assert (outcome.promoted, outcome.verdict) == (False, decision_pb2.VERDICT_INCONCLUSIVE)

    def test_at_most_three_contenders_stay_those_with_the_largest_e(self, v1: LineageState) -> None:
        state = v1
        for number in range(2, 7):
            last = 200 + 40 * number
            state, outcome = train(state, command(200, last, {"": evidence(201, last, 0.0, seed=number)}))
            declined(outcome)
        e_values = [contender.e_value for contender in state.contenders]
        assert len(e_values) == 3
        assert e_values == sorted(e_values, reverse=True)

    def test_bars_of_one_class_decide_and_measure_nothing(self, v1: LineageState) -> None:
        pair = unpack(evidence(221, 283, 0.1))
        ones = pack(pair.p_a, pair.p_b, np.arange(63) >= 12, pair.times)
        state, outcome = train(v1, command(200, 283, {"": ones}))
        fact = declined(outcome)
        assert fact.verdict == decision_pb2.VERDICT_INCONCLUSIVE
        [found] = fact.evidence
        assert [field.name for field, _ in found.judgement.ListFields()] == [
            "verdict",
            "bars",
            "e_value",
            "e_value_reverse",
            "dm_p",
            "minority_bars",
        ]
        assert found.judgement.minority_bars == 12
        assert (state.contender_names, dict(state.means), state.flat) == ((f"{NAME}/v2",), {}, ())

    def test_the_judgement_in_the_fact_is_what_anybody_computes_from_its_bytes(self, v1: LineageState) -> None:
        _, outcome = train(v1, command(200, 400, {"": evidence(221, 400, 0.05)}))
        [found] = outcome.decision.evidence
        again = gate.judge(unpack(found.packed), found.horizon, "balanced")
        assert judgement_message(again) == found.judgement

    def test_deciding_twice_gives_the_same_bytes(self, v1: LineageState) -> None:
        asked = command(200, 400, {"": evidence(221, 400, 0.05)})
        first, second = (record_training(v1, asked).decision.SerializeToString(deterministic=True) for _ in range(2))
        assert first == second


def kinds(outcome: Outcome) -> list[str]:
    return [found.WhichOneof("finding") or "" for found in declined(outcome).diagnosis]


def advised(found: decision_pb2.Diagnosis) -> list[str]:
    """The kinds of advice, with the model type of those that name one."""
    kinds = [decision_pb2.AdviceKind.Name(step.kind).removeprefix("ADVICE_KIND_") for step in found.advice]
    return [f"{kind} {step.model_type}".strip() for kind, step in zip(kinds, found.advice, strict=True)]


SHIFT = decision_pb2.RegimeShift(auc=0.7, holdout_bars=250, reference_windows=100)
OVERFIT = decision_pb2.Overfit(excess=model_pb2.Interval(value=0.01, low=0.004, high=0.016))
MEASURED: dict[str, Any] = {
    "regime_shift": SHIFT,
    "overfit": OVERFIT,
    "plateau": decision_pb2.Plateau(sessions=[decision_pb2.FlatSession(bars=7)]),
    "no_new_evidence": decision_pb2.NoNewEvidence(),
    "inconclusive": decision_pb2.Inconclusive(),
}


def brought(*named: str) -> tuple[decision_pb2.Diagnosis, ...]:
    """What a trainer measured."""
    return tuple(decision_pb2.Diagnosis(**{name: MEASURED[name]}) for name in named)


def flat_sessions(state: LineageState, numbers: range, patterns: tuple[str, ...] = ("p1",)) -> list[Outcome]:
    """Sessions in a row, 20 new bars each, whose models are as good as the champion and use these patterns."""
    outcomes = []
    for number in numbers:
        last = 280 + 20 * number
        used = record(200, dict.fromkeys(patterns, 190))
        pairs = {"": evidence(221, last, 0.0, seed=number)}
        state, outcome = train(state, command(200, last, pairs, record=used))
        outcomes.append(outcome)
    return outcomes


class TestDiagnosis:
    def test_what_the_trainer_measured_comes_in_order_with_the_advice_of_the_registry(self, v1: LineageState) -> None:
        measured = brought("overfit", "regime_shift")
        _, outcome = train(v1, command(200, 400, {"": evidence(221, 400, 0.0)}, diagnosis=measured))
        shift, overfit = declined(outcome).diagnosis
        assert kinds(outcome) == ["regime_shift", "overfit"]
        assert (shift.regime_shift, overfit.overfit) == (SHIFT, OVERFIT)
        assert advised(shift) == ["IMPORT_NEWER_BARS", "TRAIN_AGAIN"]
        assert advised(overfit) == ["IMPORT_LONGER_HISTORY", "TRY_SIMPLER_TYPE har"]

    def test_what_the_registry_knows_better_is_not_taken_from_the_trainer(self, v1: LineageState) -> None:
        measured = brought("plateau", "no_new_evidence", "inconclusive")
        _, outcome = train(v1, command(200, 400, {"": evidence(221, 400, 0.0)}, diagnosis=measured))
        assert kinds(outcome) == ["inconclusive"]

    def test_a_rejected_model_is_told_what_was_measured_and_never_inconclusive(self, v1: LineageState) -> None:
        worse = {"": evidence(221, 400, -0.1)}
        assert kinds(train(v1, command(200, 400, worse))[1]) == []
        assert kinds(train(v1, command(200, 400, worse, diagnosis=brought("overfit")))[1]) == ["overfit"]

    def test_without_a_new_bar_the_measurements_come_second(self, v1: LineageState) -> None:
        pairs = {"": evidence(111, 220, 0.0)}
        _, outcome = train(v1, command(110, 220, pairs, diagnosis=brought("regime_shift")))
        assert kinds(outcome) == ["no_new_evidence", "regime_shift"]

    def test_three_sessions_in_a_row_that_brought_nothing_mean_a_plateau(self, v1: LineageState) -> None:
        first, *others = flat_sessions(v1, range(1, 6))
        assert kinds(first) == ["inconclusive"]
        assert [kinds(outcome) for outcome in others] == [["inconclusive"]] * 2 + [["plateau"]] * 2
        found = declined(others[2]).diagnosis[0]
        flat = [(session.model, session.bars) for session in found.plateau.sessions]
        assert flat == [(f"{NAME}/v3", 100), (f"{NAME}/v4", 120), (f"{NAME}/v5", 140)]
        assert all(
            session.improvement_percent.low <= 0.0 <= session.improvement_percent.high
            for session in found.plateau.sessions
        )
        assert advised(found) == ["IMPORT_NEWER_BARS", "TRY_UNTRIED_TYPE har"]

    def test_a_plateau_is_told_beside_what_was_measured(self, v1: LineageState) -> None:
        state = v1
        for outcome in flat_sessions(v1, range(1, 4)):
            state = after(state, outcome.trained, outcome.decision)
        pairs, used = {"": evidence(221, 360, 0.0, seed=4)}, record(200, {"p1": 190})
        _, outcome = train(state, command(200, 360, pairs, record=used, diagnosis=brought("overfit")))
        assert kinds(outcome) == ["overfit", "plateau"]

    def test_a_new_pattern_a_promotion_or_a_gain_begins_the_count_anew(self, v1: LineageState) -> None:
        state = v1
        for outcome in flat_sessions(v1, range(1, 4)):
            state = after(state, outcome.trained, outcome.decision)
        assert len(state.flat) == 2
        assert kinds(flat_sessions(state, range(4, 5), ("p1", "p2"))[0]) == ["inconclusive"]
        assert kinds(flat_sessions(state, range(4, 5), ())[0]) == ["plateau"]
        assert after(state, lineage.promote(state, f"{NAME}/v2", f"{NAME}/v1", "simpler")).flat == ()
        rejected, _ = train(state, command(200, 400, {"": evidence(221, 400, -0.1)}, record=record(200, {"p1": 190})))
        assert rejected.flat == ()

    def test_sessions_without_new_bars_count_neither_way(self, v1: LineageState) -> None:
        state = v1
        for outcome in flat_sessions(v1, range(1, 3)):
            state = after(state, outcome.trained, outcome.decision)
        again, _ = train(state, command(200, 320, {"": evidence(221, 320, 0.0)}, record=record(200, {"p1": 190})))
        assert again.flat == state.flat
        learned, _ = train(state, command(200, 320, {"": evidence(221, 320, 0.0)}, record=record(200, {"p2": 190})))
        assert learned.flat == ()

    def test_a_gain_that_is_not_defined_is_no_sign_of_a_plateau(self, v1: LineageState) -> None:
        state, _ = train(v1, command(200, 225, {"": evidence(221, 225, 0.0)}))
        assert state.flat == ()


class TestAge:
    """`record` says that 100 bars were new to each session."""

    @pytest.fixture
    def aged(self, v1: LineageState) -> LineageState:
        state = v1
        for outcome in flat_sessions(v1, range(1, 6)):
            state = after(state, outcome.trained, outcome.decision)
        return state

    def test_a_champion_ages_by_the_sessions_and_bars_after_its_own(self, v1: LineageState, aged: LineageState) -> None:
        assert (v1.sessions_since, v1.bars_since, v1.stale) == (0, 0, False)
        assert (aged.sessions_since, aged.bars_since, aged.stale) == (5, 500, False)
        assert (EMPTY.sessions_since, EMPTY.bars_since, EMPTY.stale) == (0, 0, False)

    def test_more_than_500_bars_or_20_sessions_make_it_stale(self, aged: LineageState) -> None:
        trained = [facts_pb2.ModelTrained(record=record(200)) for _ in range(16)]
        for number, fact in enumerate(trained, start=7):
            fact.record.version, fact.record.model = number, f"{NAME}/v{number}"
        assert after(aged, trained[0]).stale
        for fact in trained:
            fact.record.windows.new_bars = 0
        assert [after(aged, *trained[:count]).stale for count in (1, 15, 16)] == [False, False, True]

    def test_an_older_champion_that_is_taken_back_is_as_old_as_its_own_session(self, aged: LineageState) -> None:
        state = after(aged, lineage.promote(aged, f"{NAME}/v4", f"{NAME}/v1", "simpler"))
        assert (state.sessions_since, state.bars_since) == (2, 200)
        state = after(state, lineage.rollback(state, "drift", despite_cause=True))
        assert (state.sessions_since, state.bars_since) == (5, 500)


class TestNewEvidence:
    def test_without_a_new_bar_nothing_is_promoted_however_good_it_looks(self, v1: LineageState) -> None:
        state, outcome = train(v1, command(110, 220, {"": evidence(111, 220, 0.12)}))
        fact = declined(outcome)
        assert fact.verdict == decision_pb2.VERDICT_NO_NEW_EVIDENCE
        assert fact.basis == decision_pb2.BASIS_NO_NEW_BARS
        assert fact.diagnosis[0].no_new_evidence.decided_through == stamp(220)
        assert advised(fact.diagnosis[0]) == ["IMPORT_NEWER_BARS", "BACKTEST"]
        assert (state.champion, state.contender_names) == (1, (f"{NAME}/v2",))

    def test_tries_on_the_same_bars_push_no_contender_out(self, v1: LineageState) -> None:
        state = v1
        for number in range(2, 7):
            state, _ = train(state, command(110, 220, {"": evidence(111, 220, 0.02 * number)}))
        assert state.contender_names == tuple(f"{NAME}/v{number}" for number in (2, 3, 4))

    def test_after_a_person_decided_only_later_bars_count(self, v1: LineageState) -> None:
        state, _ = train(v1, command(200, 400, {"": evidence(221, 400, 0.1)}))
        state = after(state, lineage.rollback(state, "too nervous"))
        assert (state.champion, state.spent_through) == (1, bar(400))
        _, outcome = train(state, command(300, 420, {"": evidence(301, 420, 0.1)}))
        [found] = outcome.decision.evidence
        assert found.judgement.bars == 20
        assert found.first_bar == stamp(401)
        assert len(unpack(found.packed)) == 20


class TestWhatIsRefused:
    def test_evidence_against_another_champion_names_the_one_in_force(self, v1: LineageState) -> None:
        asked = command(200, 400, {"": evidence(221, 400, 0.1)}, champion=f"{NAME}/v9")
        with pytest.raises(ChampionMoved, match=f"is {NAME}/v1, not {NAME}/v9") as refused:
            record_training(v1, asked)
        assert refused.value.champion == f"{NAME}/v1"

    @pytest.mark.parametrize(("fit_end", "first"), [(221, 221), (90, 100)], ids=["challenger", "champion"])
    def test_a_scored_bar_inside_a_training_window(self, v1: LineageState, fit_end: int, first: int) -> None:
        with pytest.raises(PreconditionFailed, match=r"can't score .*/v[12]: its training window knows labels up to"):
            record_training(v1, command(fit_end, 400, {"": evidence(first, 400, 0.1)}))

    def test_a_scored_bar_inside_the_evidence_of_a_pattern(self, v1: LineageState) -> None:
        asked = command(200, 400, {"": evidence(221, 400, 0.1)}, record=record(200, {"p1": 210, "p2": 221}))
        with pytest.raises(PreconditionFailed, match=r"bar 2006-08-11 can't score .* pattern p2 with evidence up to"):
            record_training(v1, asked)

    def test_evidence_beyond_the_last_labelled_bar(self, v1: LineageState) -> None:
        with pytest.raises(InvalidInput, match="the last labelled bar of this session is"):
            record_training(v1, command(200, 399, {"": evidence(221, 400, 0.1)}))

    def test_a_contender_that_is_not_in_the_race(self, v1: LineageState) -> None:
        pairs = {"": evidence(221, 400, 0.1), f"{NAME}/v7": evidence(221, 400, 0.1)}
        with pytest.raises(Conflict, match="v7 is no contender"):
            record_training(v1, command(200, 400, pairs))

    def test_a_new_model_without_evidence(self, v1: LineageState) -> None:
        with pytest.raises(InvalidInput, match="no comparison of the new model"):
            record_training(v1, command(200, 400, {}))

    def test_a_record_that_does_not_say_what_it_was_trained_on(self) -> None:
        unsaid = record(100)
        unsaid.windows.ClearField("fit_label_end")
        with pytest.raises(InvalidInput, match="fit_label_end"):
            record_training(EMPTY, command(100, 220, {}, champion="", record=unsaid))


class TestPeople:
    @pytest.fixture
    def v2(self, v1: LineageState) -> LineageState:
        return train(v1, command(200, 400, {"": evidence(221, 400, 0.1)}))[0]

    def test_promote_drops_the_contenders_and_spends_the_bars(self, v1: LineageState) -> None:
        state, _ = train(v1, command(200, 400, {"": evidence(221, 400, 0.0)}))
        fact = lineage.promote(state, f"{NAME}/v2", f"{NAME}/v1", " simpler ")
        state = after(state, fact)
        assert (state.champion, state.previous, state.contenders) == (2, 1, ())
        assert (fact.decided_by, fact.reason) == (decision_pb2.DECIDED_BY_PERSON, "simpler")
        assert state.spent_through == bar(400)

    def test_rollback_goes_back_champion_by_champion(self, v2: LineageState) -> None:
        state, _ = train(v2, command(300, 600, {"": evidence(401, 600, 0.1)}, champion=f"{NAME}/v2"))
        for expected in (2, 1):
            state = after(state, lineage.rollback(state, "drift"))
            assert state.champion == expected
        with pytest.raises(PreconditionFailed, match="nothing to roll back to"):
            lineage.rollback(state, "drift")

    def test_a_champion_that_a_person_set_aside_comes_back_only_despite_the_cause(self, v2: LineageState) -> None:
        by_ann = Fact(
            f"lineage/{NAME}",
            v2.version + 1,
            lineage.promote(v2, f"{NAME}/v1", f"{NAME}/v2", "v2 learned from a bad file"),
            actor="ann@desk",
            recorded_at=datetime(2026, 3, 3, 16, tzinfo=UTC),
        )
        state = lineage.project(v2, [by_ann])
        assert state is not None
        with pytest.raises(PreconditionFailed) as refused:
            lineage.rollback(state, "drift")
        said = f"{NAME}/v2 was set aside by ann@desk at 2026-03-03T16:00:00Z: 'v2 learned from a bad file'"
        assert refused.value.message.startswith(said)
        assert "--despite-cause" in refused.value.message
        assert lineage.rollback(state, "it was the right file", despite_cause=True).model == f"{NAME}/v2"

    def test_the_latest_end_of_a_reign_counts(self, v2: LineageState) -> None:
        """v2 was set aside by a rollback, came back, and the gate replaced it: no cause is left. v1 has one now."""
        state = after(v2, lineage.rollback(v2, "drift"))
        state = after(state, lineage.promote(state, f"{NAME}/v2", f"{NAME}/v1", "it was not v2"))
        state, _ = train(state, command(300, 600, {"": evidence(401, 600, 0.1)}, champion=f"{NAME}/v2"))
        assert state.champion == 3
        state = after(state, lineage.rollback(state, "drift"))
        assert state.champion == 2
        with pytest.raises(PreconditionFailed, match=r"v1 was set aside by a person: 'it was not v2'"):
            lineage.rollback(state, "drift")

    def test_what_people_may_not_do(self, v2: LineageState) -> None:
        with pytest.raises(ChampionMoved):
            lineage.promote(v2, f"{NAME}/v1", f"{NAME}/v1", "why")
        with pytest.raises(ChampionMoved):
            lineage.promote(v2, f"{NAME}/v1", "", "why")
        with pytest.raises(ChampionMoved):
            lineage.rollback(v2, "why", f"{NAME}/v1")
        with pytest.raises(PreconditionFailed, match="is the champion"):
            lineage.promote(v2, f"{NAME}/v2", f"{NAME}/v2", "why")
        with pytest.raises(NotFound, match="the newest is"):
            lineage.promote(v2, f"{NAME}/v3", f"{NAME}/v2", "why")
        with pytest.raises(InvalidInput, match="reason"):
            lineage.promote(v2, f"{NAME}/v1", f"{NAME}/v2", "  ")
