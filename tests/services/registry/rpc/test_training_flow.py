"""From a request to a decision, over the wire."""

from __future__ import annotations

import pytest

from ratchet.decisions import gate
from ratchet.decisions.comparison import judgement_message
from ratchet.decisions.evidence import unpack
from ratchet.errors import AlreadyExists, ChampionMoved, InvalidInput, NotFound, PreconditionFailed
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.registry.v1 import registry_pb2 as pb
from tests.support.registry_client import FOREST, LOGISTIC, Registry, kinds
from tests.support.registry_samples import evidence, record, stamp

LINEAGE, SYMBOL = decision_pb2.SCOPE_LINEAGE, decision_pb2.SCOPE_SYMBOL


def topics_of_last(registry: Registry, count: int) -> list[str]:
    read = registry.log.Read(eventlog_pb2.ReadRequest(descending=True, limit=count))
    events = [event for message in read for event in message.events]
    return [event.topic.rpartition(".")[2] for event in reversed(events)]


def test_a_lineage_ratchets_forward(registry: Registry) -> None:
    first = registry.train(FOREST, 100, 220)
    assert kinds(first) == [("promoted", LINEAGE), ("promoted", SYMBOL)]
    assert first.model.lineage_champion
    assert first.model.symbol_best
    assert first.training.state == pb.TRAINING_STATE_COMPLETED
    assert first.training.verdict == decision_pb2.VERDICT_PROMOTED
    assert first.decisions[1].promoted.basis == decision_pb2.BASIS_FIRST

    undecided = registry.train(FOREST, 221, 400, 0.0)
    assert kinds(undecided) == [("declined", LINEAGE)]
    assert undecided.model.contender
    assert undecided.training.verdict == decision_pb2.VERDICT_INCONCLUSIVE

    rejected = registry.train(FOREST, 401, 600, -0.1)
    assert rejected.training.verdict == decision_pb2.VERDICT_REJECTED
    assert not rejected.model.contender

    better = registry.train(FOREST, 601, 800, 0.1)
    assert kinds(better) == [("promoted", LINEAGE), ("promoted", SYMBOL)]
    assert better.model.name == f"{FOREST}/v4"
    assert better.model.parent == f"{FOREST}/v1"
    assert better.model.improvement_over_parent.low > 0
    assert better.training.promoted
    assert topics_of_last(registry, 4) == ["ModelTrained", "TrainingCompleted", "ModelPromoted", "ModelPromoted"]

    champion = registry.champion(FOREST)
    assert (champion.model.name, champion.versions, list(champion.contenders)) == (f"{FOREST}/v4", 4, [])
    assert champion.last_labelled_bar == stamp(800)
    assert registry.best().model.name == f"{FOREST}/v4"
    assert registry.best().decision.promoted.basis == decision_pb2.BASIS_SUCCESSION


def test_a_first_model_that_loses_to_a_naive_baseline_is_listed_with_it(registry: Registry) -> None:
    asked = registry.trained(FOREST, 100, 220)
    gain = model_pb2.Interval(value=-0.011, low=-0.02, high=-0.002)
    asked.record.baselines.add(name="persistence@baseline", gain=gain)
    answer = registry.record(asked)
    assert answer.decisions[0].promoted.first_model == decision_pb2.FirstModel(
        brier=next(metric.interval.value for metric in asked.record.metrics if metric.name == "brier"),
        ahead=[model_pb2.Baseline(name="persistence@baseline", gain=gain)],
    )
    [model], [training] = (
        registry.call(pb.ListModelsRequest(lineage=FOREST)).models,
        registry.call(pb.ListTrainingsRequest(lineage=FOREST)).trainings,
    )
    for found in (answer.model, model, answer.training, training):
        assert list(found.worse_than) == ["persistence@baseline"]


def test_metrics_that_are_not_defined_are_not_set(registry: Registry) -> None:
    asked = registry.trained(FOREST, 100, 220)
    del asked.record.metrics[:]
    asked.record.metrics.add(name="brier")
    answer = registry.record(asked)
    assert answer.decisions[0].promoted.first_model == decision_pb2.FirstModel()
    [model] = registry.call(pb.ListModelsRequest(lineage=FOREST)).models
    assert not any(found.HasField(name) for found in (answer.model, model) for name in ("brier", "accuracy", "auc"))


def test_a_second_training_on_the_same_bars_says_so(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    again = registry.train(FOREST, 100, 220, 0.1)
    assert again.training.verdict == decision_pb2.VERDICT_NO_NEW_EVIDENCE
    assert again.decisions[0].declined.basis == decision_pb2.BASIS_NO_NEW_BARS
    assert again.training.reason == ""
    assert registry.champion(FOREST).model.name == f"{FOREST}/v1"


def test_a_second_lineage_must_beat_the_best_of_the_symbol(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    worse = registry.train(LOGISTIC, 200, 400, against_best=-0.1)
    assert kinds(worse) == [("promoted", LINEAGE), ("declined", SYMBOL)]
    assert registry.best().model.name == f"{FOREST}/v1"
    better = registry.train(LOGISTIC, 400, 600, 0.1, against_best=0.1)
    assert kinds(better) == [("promoted", LINEAGE), ("promoted", SYMBOL)]
    assert better.decisions[1].promoted.competing_lineages == 2
    assert registry.best().model.name == f"{LOGISTIC}/v2"


def test_without_common_bars_the_best_stays(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    silent = registry.train(LOGISTIC, 200, 400)
    assert silent.decisions[1].declined.verdict == decision_pb2.VERDICT_INCONCLUSIVE
    [pair] = silent.decisions[1].declined.evidence
    assert pair.judgement.bars == 0


def test_a_session_is_compared_with_the_best_of_the_symbol_at_most_once(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(LOGISTIC, 200, 400, against_best=0.0)
    registry.train(LOGISTIC, 401, 500, 0.0, against_best=0.0)
    request = registry.trained(LOGISTIC, 501, 700, 0.1, against_best=0.1)
    request.symbol_comparisons.add(champion=f"{FOREST}/v1", contender=f"{LOGISTIC}/v2", packed=evidence(502, 700, 0.1))
    own, best = registry.record(request).decisions
    assert own.promoted.model == best.promoted.model == f"{LOGISTIC}/v3"
    assert [(found.contender, found.champion) for found in best.promoted.evidence] == [
        (f"{LOGISTIC}/v3", f"{FOREST}/v1")
    ]


def test_a_champion_that_stays_is_compared_with_the_best_of_the_symbol_after_each_session(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(LOGISTIC, 200, 400, against_best=0.0)
    undecided = registry.train(LOGISTIC, 401, 600, 0.0, against_best=0.0)
    assert kinds(undecided) == [("declined", LINEAGE), ("declined", SYMBOL)]
    assert undecided.decisions[1].declined.model == f"{LOGISTIC}/v1"
    seen = registry.train(LOGISTIC, 601, 800, 0.0, against_best=0.1)
    assert kinds(seen) == [("declined", LINEAGE), ("promoted", SYMBOL)]
    best = seen.decisions[1].promoted
    assert (best.model, best.replaced, best.competing_lineages) == (f"{LOGISTIC}/v1", f"{FOREST}/v1", 2)
    assert (best.session_id, best.decided_through) == (seen.training.session_id, stamp(800))
    assert seen.training.verdict == decision_pb2.VERDICT_INCONCLUSIVE
    assert (seen.model.name, seen.model.symbol_best) == (f"{LOGISTIC}/v3", False)
    assert registry.best().model.name == f"{LOGISTIC}/v1"
    assert registry.best().decision == seen.decisions[1]
    assert kinds(registry.train(LOGISTIC, 801, 900, 0.0)) == [("declined", LINEAGE)]


def test_a_pair_is_not_decided_on_twice_without_a_new_bar(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(LOGISTIC, 200, 400, against_best=0.0)
    assert kinds(registry.train(LOGISTIC, 200, 400, 0.0, against_best=0.1)) == [("declined", LINEAGE)]
    assert registry.best().model.name == f"{FOREST}/v1"
    assert kinds(registry.train(LOGISTIC, 200, 401, 0.0, against_best=0.1)) == [
        ("declined", LINEAGE),
        ("promoted", SYMBOL),
    ]


def test_a_champion_that_is_old_is_called_stale_and_stays(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    fresh = registry.champion(FOREST)
    assert (fresh.sessions_since, fresh.bars_since, fresh.stale) == (0, 0, False)
    for number in range(6):
        registry.train(FOREST, 221, 320 + 100 * number, 0.0)
    old = registry.champion(FOREST)
    assert (old.sessions_since, old.bars_since, old.stale) == (6, 600, True)
    assert old.model.name == f"{FOREST}/v1"


def test_what_the_trainer_measured_is_recorded_with_an_advice(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    request = registry.trained(FOREST, 221, 400, -0.1)
    shift = decision_pb2.RegimeShift(auc=0.71, holdout_bars=60, reference_windows=100)
    request.diagnosis.add(regime_shift=shift)
    [found] = registry.record(request).decisions[0].declined.diagnosis
    assert found.regime_shift == shift
    assert [step.kind for step in found.advice] == [
        decision_pb2.ADVICE_KIND_IMPORT_NEWER_BARS,
        decision_pb2.ADVICE_KIND_TRAIN_AGAIN,
    ]


def test_strangers_reach_the_verdict_from_the_bytes(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    registry.train(FOREST, 221, 400, 0.0)
    listed = registry.call(pb.ListDecisionsRequest(lineage=FOREST, include_evidence_bytes=True)).decisions
    [found] = listed[-1].declined.evidence
    assert judgement_message(gate.judge(unpack(found.packed), found.horizon, "balanced")) == found.judgement
    plain = registry.call(pb.ListDecisionsRequest(lineage=FOREST)).decisions
    assert plain[-1].declined.evidence[0].packed == b""


class TestRefusals:
    def test_evidence_against_a_champion_that_moved(self, registry: Registry) -> None:
        registry.train(FOREST, 100, 220)
        stale = registry.trained(FOREST, 221, 400, 0.1)
        registry.train(FOREST, 221, 400, 0.1)
        with pytest.raises(ChampionMoved) as refused:
            registry.record(stale)
        assert refused.value.champion == f"{FOREST}/v2"
        assert refused.value.message.startswith(f"the champion of {FOREST} is {FOREST}/v2")

    def test_evidence_against_a_best_that_moved(self, registry: Registry) -> None:
        stale = registry.trained(LOGISTIC, 200, 400)
        registry.train(FOREST, 100, 220)
        with pytest.raises(ChampionMoved) as refused:
            registry.record(stale)
        assert refused.value.champion == f"{FOREST}/v1"

    def test_a_standing_champion_scored_against_a_best_that_moved(self, registry: Registry) -> None:
        registry.train(FOREST, 100, 220)
        registry.train(LOGISTIC, 100, 220)
        stale = registry.trained(LOGISTIC, 221, 400, 0.0, against_best=0.1)
        registry.train(FOREST, 221, 400, 0.1)
        with pytest.raises(ChampionMoved) as refused:
            registry.record(stale)
        assert refused.value.champion == f"{FOREST}/v2"

    def test_a_champion_without_a_comparison_with_the_best(self, registry: Registry) -> None:
        registry.train(FOREST, 100, 220)
        for fit_end, last, champion in ((100, 220, f"{LOGISTIC}/v1"), (221, 400, f"{LOGISTIC}/v1")):
            request = registry.trained(LOGISTIC, fit_end, last)
            brought = list(request.symbol_comparisons)
            request.ClearField("symbol_comparisons")
            with pytest.raises(InvalidInput, match=f"no comparison of {champion} with {FOREST}/v1, the symbol's best"):
                registry.record(request)
            request.symbol_comparisons.extend(brought)
            registry.record(request)

    def test_scored_bars_that_a_standing_champion_was_trained_on(self, registry: Registry) -> None:
        registry.train(FOREST, 100, 220)
        registry.train(LOGISTIC, 150, 300)
        request = registry.trained(LOGISTIC, 221, 400)
        request.symbol_comparisons[1].packed = evidence(150, 400, 0.1)
        with pytest.raises(PreconditionFailed, match=f"can't score {LOGISTIC}/v1: its training window"):
            registry.record(request)

    def test_scored_bars_that_a_model_was_trained_on(self, registry: Registry) -> None:
        registry.train(FOREST, 100, 220)
        request = registry.trained(FOREST, 221, 400, 0.1)
        request.comparisons[0].packed = evidence(221, 400, 0.1)
        with pytest.raises(PreconditionFailed, match="its training window knows labels up to 2006-08-11"):
            registry.record(request)

    def test_a_refusal_writes_nothing_and_the_session_stays_open(self, registry: Registry) -> None:
        registry.train(FOREST, 100, 220)
        before = registry.log.GetHead(eventlog_pb2.GetHeadRequest()).position
        request = registry.trained(FOREST, 221, 400, 0.1)
        request.comparisons[0].packed = b"junk"
        with pytest.raises(InvalidInput, match="evidence"):
            registry.record(request)
        assert registry.log.GetHead(eventlog_pb2.GetHeadRequest()).position == before + 1
        request.comparisons[0].packed = evidence(222, 400, 0.1)
        assert registry.record(request).training.promoted

    def test_a_session_ends_once(self, registry: Registry) -> None:
        request = registry.trained(FOREST, 100, 220)
        registry.record(request)
        request.request_id = "another"
        with pytest.raises(PreconditionFailed, match=f"has ended: it completed with {FOREST}/v1"):
            registry.record(request)
        with pytest.raises(PreconditionFailed, match="has ended"):
            registry.call(pb.CancelTrainingRequest(session_id=request.session_id))

    def test_names_that_mean_nothing(self, registry: Registry) -> None:
        registry.train(FOREST, 100, 220)
        with pytest.raises(NotFound, match=f"did you mean {FOREST}/v1"):
            registry.call(pb.GetModelRequest(model=f"{FOREST}/v2"))
        with pytest.raises(NotFound, match=f"did you mean {FOREST}"):
            registry.champion(LOGISTIC.replace("logistic", "xgboost"))
        with pytest.raises(NotFound, match="ratchet data import"):
            registry.request_training(FOREST, digest="unknown")
        with pytest.raises(NotFound, match="there is no training 'nobody'"):
            registry.call(pb.FailTrainingRequest(session_id="nobody", reason="INTERNAL"))
        with pytest.raises(NotFound, match="ratchet train MSFT"):
            registry.best("MSFT")
        with pytest.raises(InvalidInput, match="EUR-USD"):
            registry.import_bars("EUR/USD")
        with pytest.raises(InvalidInput, match="random-forest"):
            registry.champion("AAPL/range/randomforest")
        with pytest.raises(InvalidInput, match="balanced"):
            registry.request_training(FOREST, policy="balance")

    def test_times_that_nobody_can_read(self, registry: Registry) -> None:
        request = registry.trained(FOREST, 100, 220)
        request.record.patterns_used[0].evidence_end.seconds = 10**15
        with pytest.raises(InvalidInput, match=r"record\.patterns_used\.evidence_end is not a time"):
            registry.record(request)


class TestTheSameRequestAgain:
    def test_gets_the_first_answer_whatever_happened_since(self, registry: Registry) -> None:
        request = registry.trained(FOREST, 100, 220)
        first = registry.record(request)
        registry.train(FOREST, 221, 400, 0.1)
        assert registry.record(request) == first
        assert len(registry.call(pb.ListModelsRequest(lineage=FOREST)).models) == 2

    def test_with_another_payload_is_refused(self, registry: Registry) -> None:
        request = registry.trained(FOREST, 100, 220)
        registry.record(request)
        request.record.seed = 8
        with pytest.raises(AlreadyExists):
            registry.record(request)

    def test_is_told_from_another_method(self, registry: Registry) -> None:
        session_id = registry.request_training(FOREST)
        registry.call(pb.FailTrainingRequest(request_id="same", session_id=session_id, reason="INTERNAL"))
        with pytest.raises(AlreadyExists):
            registry.call(pb.CancelTrainingRequest(request_id="same", session_id=session_id, reason="INTERNAL"))


def test_failed_and_cancelled_sessions_are_told(registry: Registry) -> None:
    failed, cancelled = registry.request_training(FOREST), registry.request_training(FOREST)
    registry.call(pb.FailTrainingRequest(session_id=failed, reason="DATA_REFUSED", message="196 usable bars"))
    registry.call(pb.CancelTrainingRequest(session_id=cancelled, reason="not now"))
    left = registry.request_training(FOREST)
    by_id = {found.session_id: found for found in registry.call(pb.ListTrainingsRequest(lineage=FOREST)).trainings}
    assert by_id[failed].state == pb.TRAINING_STATE_FAILED
    assert (by_id[failed].reason, by_id[failed].message) == ("DATA_REFUSED", "196 usable bars")
    assert by_id[cancelled].state == pb.TRAINING_STATE_CANCELLED
    still_open = registry.call(pb.ListTrainingsRequest(state=pb.TRAINING_STATE_OPEN)).trainings
    assert [found.session_id for found in still_open] == [left]


def test_the_record_comes_back_as_it_was_sent(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    found = registry.call(pb.GetModelRequest(model=f"{FOREST}/v1")).model
    sent = record(100, {"p1": 100})
    sent.model, sent.version, sent.lineage = f"{FOREST}/v1", 1, FOREST
    sent.session_id, sent.dataset_digest = found.session_id, "d1"
    assert found.record == sent
    assert (found.brier, found.patterns, found.features) == (0.22, 1, 1)
