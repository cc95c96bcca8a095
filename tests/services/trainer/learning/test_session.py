"""A session is a pure function of its inputs, and nothing after the holdout's start reaches a model."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from hashlib import sha256

import numpy as np
import pytest

from ratchet.decisions import evidence
from ratchet.errors import Cancelled, CorruptData, DataRefused, InvalidInput
from ratchet.names import SKILL_BASELINES
from ratchet.scoring import features, targets
from ratchet.scoring.baselines import refitted
from ratchet.scoring.columns import ONLINE_LOG_ODDS, predict
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.models.artifact import load
from ratchet.scoring.rule import Condition, Rule, pattern_id
from services.trainer.learning.inputs import KnownPattern, PastTrial, ReferenceModel, SessionInputs, SessionOptions
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.learning.pairs import NEW_MODEL
from services.trainer.learning.session import plan, rescore, run
from services.trainer.learning.study import ON_MARGIN

QUICK = SessionOptions(suggestions=1)
BUSY = Rule((Condition("pvo_12_26", ">", 5.0),), 1)
HOT = Rule((Condition("rsi_14", ">", 70.0), Condition("volume_ratio_20", ">", 1.5)), 1)


def quiet(phase: str, fraction: float) -> None:
    pass


def plain(value: object) -> object:
    """A value as text and bytes, without the CPU seconds."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if is_dataclass(value):
        return [(each.name, plain(getattr(value, each.name))) for each in fields(value) if each.name != "cpu_seconds"]
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return repr(value)


def known(rule: Rule, bars: Bars, end: int, state: str = "kept") -> KnownPattern:
    return KnownPattern(pattern_id(rule, "AAPL", "range"), rule, 0.7, int(bars.time[end]), state)


def second_inputs(aapl: Bars, first: SessionOutcome, champion: ReferenceModel, bars: int = 2475) -> SessionInputs:
    return SessionInputs(
        "AAPL",
        "range",
        1,
        "random-forest",
        aapl.head(bars),
        seed=8,
        sessions=1,
        last_labelled_time=first.last_labelled_time,
        parent=champion,
        champion=champion,
        patterns=(known(BUSY, aapl, 1400), known(HOT, aapl, 1400, "refuted")),
        mined_through=first.mining.mined_through,
        options=QUICK,
    )


@pytest.fixture(scope="session")
def second(aapl: Bars, first: SessionOutcome, champion: ReferenceModel) -> SessionOutcome:
    return run(second_inputs(aapl, first, champion), quiet)


def test_the_same_inputs_give_the_same_outcome(
    aapl: Bars, first: SessionOutcome, champion: ReferenceModel, second: SessionOutcome
) -> None:
    sent = pickle.loads(pickle.dumps(second_inputs(aapl, first, champion)))  # noqa: S301 as a worker process gets it
    assert plain(run(sent, quiet)) == plain(second)


@pytest.mark.parametrize("kind", ["har", "xgboost"])
def test_the_fits_of_baselines_that_a_process_has_kept_change_nothing(
    first_inputs: SessionInputs, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    inputs = replace(first_inputs, model_type=kind)
    kept = [run(inputs, quiet) for _ in range(2)]
    assert load(kept[0].artifact).on_margin
    monkeypatch.setattr(refitted, "_FIT_CACHE", refitted._FitCache(0))
    assert plain(run(inputs, quiet)) == plain(kept[0]) == plain(kept[1])


def test_another_seed_gives_another_forest(first_inputs: SessionInputs, first: SessionOutcome) -> None:
    other = run(replace(first_inputs, seed=99), quiet)
    assert sha256(other.artifact).digest() != sha256(first.artifact).digest()


def shuffled(bars: Bars, start: int) -> Bars:
    """Every bar from `start` on in another order; the times stay."""
    order = np.arange(len(bars))
    np.random.default_rng(0).shuffle(order[start:])
    columns = (column[order] for column in (bars.open, bars.high, bars.low, bars.close, bars.volume))
    return Bars(bars.series, bars.time, *columns)


def absurd(bars: Bars, start: int) -> Bars:
    """Every price from `start` on a thousand times as high, every volume 1."""
    factor = np.where(np.arange(len(bars)) < start, 1.0, 1000.0)
    volume = np.where(np.arange(len(bars)) < start, bars.volume, 1.0)
    return Bars(
        bars.series, bars.time, bars.open * factor, bars.high * factor, bars.low * factor, bars.close * factor, volume
    )


@pytest.mark.parametrize(
    ("model_type", "horizon", "change"),
    [
        ("random-forest", 1, shuffled),
        pytest.param("random-forest", 5, absurd, marks=pytest.mark.slow),
        ("gradient-boosting", 1, shuffled),
        ("xgboost", 5, shuffled),
        ("xgboost", 1, absurd),
        pytest.param("lstm", 1, shuffled, marks=pytest.mark.slow),
        ("logistic", 5, shuffled),
        ("logistic", 1, absurd),
    ],
)
def test_no_bar_after_the_start_of_the_holdout_reaches_the_model(
    aapl: Bars, model_type: str, horizon: int, change: Callable[[Bars, int], Bars]
) -> None:
    bars = aapl.head(1700)
    head = SessionInputs("AAPL", "range", horizon, model_type, bars.head(1200), seed=3, options=QUICK)
    parent = run(head, quiet)
    scored = ReferenceModel("v1", parent.artifact, parent.fit_end_label_time, parent.complexity_step, parent.params)
    inputs = replace(head, bars=bars, sessions=1, last_labelled_time=parent.last_labelled_time, parent=scored)
    start = plan(bars, "range", horizon, parent.last_labelled_time).windows.holdout.start
    one = run(inputs, quiet)
    other = run(replace(inputs, bars=change(bars, start)), quiet)
    assert other.artifact == one.artifact
    for name in ("importance", "candidates", "mining", "error_analysis", "windows", "features", "params"):
        assert plain(getattr(other, name)) == plain(getattr(one, name)), name
    assert plain(other.metrics) != plain(one.metrics)


def test_the_first_version_sees_the_base_features_and_says_why_nothing_is_carried_on(
    first_inputs: SessionInputs, first: SessionOutcome
) -> None:
    assert first.features == (*features.available(first_inputs.bars, features.BASE), ONLINE_LOG_ODDS)
    transfer, scratch = first.candidates
    assert (transfer.skipped, transfer.change, transfer.chosen) == ("no_parent", None, False)
    assert (scratch.change, scratch.chosen) == ("new", True)
    assert (first.pairs, first.symbol_pairs, first.error_analysis) == ((), (), ())
    assert first.complexity_step == 1


def test_the_windows_are_reported_in_bar_times(aapl: Bars, first: SessionOutcome) -> None:
    windows = plan(aapl.head(1720), "range", 1, None).windows
    assert [window.name for window in first.windows] == ["training", "tune", "choose", "holdout"]
    holdout = first.windows[3]
    assert holdout.rows == len(windows.holdout) == 146
    assert holdout.last_time == first.last_labelled_time == aapl.time[1718]
    assert holdout.label_end == aapl.time[1719]
    assert first.fit_end_label_time == aapl.time[windows.holdout.start - 1] < holdout.first_time


def test_knowledge_is_asked_for_as_of_the_start_of_tune(aapl: Bars, first: SessionOutcome) -> None:
    planned = plan(aapl.head(1720), "range", 1, None)
    assert planned.known_before == first.windows[1].first_time
    assert all(each.evidence.end < planned.known_before for each in first.mining.rules)


def test_new_patterns_become_columns_after_those_of_the_parent(first: SessionOutcome, second: SessionOutcome) -> None:
    busy, hot = (pattern_id(rule, "AAPL", "range") for rule in (BUSY, HOT))
    assert second.features == (*first.features, f"rule:{busy}", "pvo_12_26")
    assert [used.id for used in second.patterns_used] == [busy]
    assert [(each.id, each.reason) for each in second.patterns_left_out] == [(hot, "refuted")]
    assert {each.name for each in second.importance} == set(second.features) - {ONLINE_LOG_ODDS}


def test_known_patterns_are_evaluated_on_the_bars_since_their_last_evidence(aapl: Bars, second: SessionOutcome) -> None:
    assert len(second.pattern_updates) == 2
    for update, rule in zip(second.pattern_updates, (BUSY, HOT), strict=True):
        found = update.evidence
        assert found.times[0] == aapl.time[1400]
        assert found.times[1] > aapl.time[1400]
        assert found.end < second.windows[1].first_time
        rows = np.searchsorted(aapl.time, found.times[: len(found)])
        values = features.compute(aapl, rule.features)[rows]
        assert found.fired.tolist() == rule.fires(values, rule.features).tolist()
        assert found.labels.tolist() == (targets.labels("range", aapl, 1)[rows] == 1.0).tolist()


def test_both_candidates_are_reported_with_scores_and_cost(second: SessionOutcome) -> None:
    transfer, scratch = second.candidates
    assert (transfer.kind, scratch.kind) == ("transfer", "scratch")
    assert transfer.chosen != scratch.chosen
    assert transfer.change == "extended"
    for each in second.candidates:
        assert each.skipped is None
        assert each.choose_bars >= 60
        assert each.choose_score is not None
        assert each.cpu_seconds > 0
    better = min(second.candidates, key=lambda each: each.choose_score or 1.0)
    assert better.chosen


def test_a_pair_is_scored_on_all_labelled_bars_after_the_later_training_end(
    aapl: Bars, first: SessionOutcome, champion: ReferenceModel, second: SessionOutcome
) -> None:
    (pair,) = second.pairs
    assert (pair.champion, pair.contender) == (champion.name, NEW_MODEL)
    scored = evidence.unpack(pair.evidence)
    rows = np.searchsorted(aapl.time, scored.times)
    assert rows.tolist() == list(range(rows[0], 2474))
    assert aapl.time[rows[0] - 1] == second.fit_end_label_time
    assert pair.bars == len(rows) == second.windows[3].rows
    y = targets.labels("range", aapl.head(2475), 1)
    assert scored.y.tolist() == (y[rows] == 1.0).tolist()
    for artifact, p in ((first.artifact, scored.p_a), (second.artifact, scored.p_b)):
        assert predict(load(artifact), aapl.head(2475))[rows] == pytest.approx(p, abs=1e-12)


def test_contenders_are_scored_again_and_against_the_best_of_the_symbol(
    aapl: Bars, first: SessionOutcome, champion: ReferenceModel, second: SessionOutcome
) -> None:
    contender = ReferenceModel("AAPL/range/random-forest/v2", second.artifact, second.fit_end_label_time, 1, {})
    best = replace(champion, name="AAPL/range/logistic/v1")
    inputs = replace(second_inputs(aapl, first, champion), contenders=(contender,), symbol_best=best)
    outcome = run(inputs, quiet)
    assert [(each.champion, each.contender) for each in outcome.pairs] == [
        (champion.name, NEW_MODEL),
        (champion.name, contender.name),
    ]
    assert [(each.champion, each.contender) for each in outcome.symbol_pairs] == [
        (best.name, NEW_MODEL),
        (best.name, contender.name),
        (best.name, champion.name),
    ]
    later = second.fit_end_label_time
    for pair in (*outcome.pairs, *outcome.symbol_pairs[:-1]):
        assert evidence.unpack(pair.evidence).times[0] > later
    assert evidence.unpack(outcome.symbol_pairs[-1].evidence).times[0] > first.fit_end_label_time


def test_a_moved_champion_is_scored_without_training_again(
    aapl: Bars, first: SessionOutcome, champion: ReferenceModel, second: SessionOutcome
) -> None:
    inputs = second_inputs(aapl, first, champion)
    assert plain(rescore(inputs, second)) == plain(second)
    moved = ReferenceModel(
        "AAPL/range/random-forest/v2", second.artifact, second.fit_end_label_time + 86_400 * 90, 1, {}
    )
    again = rescore(replace(inputs, champion=moved, contenders=(champion,)), second)
    assert again.artifact == second.artifact
    assert [(each.champion, each.contender) for each in again.pairs] == [
        (moved.name, NEW_MODEL),
        (moved.name, champion.name),
    ]
    assert all(evidence.unpack(each.evidence).times[0] > moved.fit_end_label_time for each in again.pairs)


def test_too_few_unseen_rows_skip_the_transfer(aapl: Bars, first: SessionOutcome, champion: ReferenceModel) -> None:
    transfer, scratch = run(second_inputs(aapl, first, champion, bars=1750), quiet).candidates
    assert transfer.skipped == "too_few_unseen_rows"
    assert scratch.chosen


def test_a_few_unseen_rows_recalibrate(aapl: Bars, first: SessionOutcome, champion: ReferenceModel) -> None:
    transfer, _ = run(second_inputs(aapl, first, champion, bars=1870), quiet).candidates
    assert transfer.change == "recalibrated"
    assert transfer.choose_score is not None


def test_the_errors_of_the_parent_are_those_before_the_holdout(second: SessionOutcome) -> None:
    by = {each.by for each in second.error_analysis}
    assert by == {"all", "probability", "weekday", "volatility_regime_20", "volume_regime_22"}
    total = next(each.bars for each in second.error_analysis if each.by == "all")
    assert total < 2475 - second.windows[3].rows
    for dimension in by:
        assert sum(each.bars for each in second.error_analysis if each.by == dimension) == total


def test_the_parents_corrections_are_reported_with_and_without(second: SessionOutcome) -> None:
    kinds = ["weights" if each.slices else "offset" for each in second.corrections]
    assert kinds == ["offset", "weights"]
    for each in second.corrections:
        assert each.bars >= 60
        assert each.applied == (each.score_with < each.score_without)
    assert second.corrections[1].slices
    assert second.corrections[1].offset is None


def test_what_the_study_tried_is_reported_and_leads_the_next_one(
    aapl: Bars, first: SessionOutcome, champion: ReferenceModel, second: SessionOutcome
) -> None:
    assert [trial.step for trial in first.trials] == [1, 1, *[1] * QUICK.suggestions]
    assert [trial.step for trial in second.trials] == [2, 2, 1, *[2] * QUICK.suggestions]
    assert (first.complexity_step_offered, second.complexity_step_offered) == (1, 2)
    scratch_taken = second.candidates[1].chosen
    assert (second.smaller_step_gain is not None) == (scratch_taken and second.complexity_step < 2)
    assert first.params in [trial.params for trial in first.trials]
    tuned = {name: first.params[name] for name in ("leaf", "columns")}
    assert tuned.items() <= second.trials[0].params.items()
    past_trials = tuple(
        PastTrial(1, {"leaf": 5.0 + k, "columns": 0.03 + 0.02 * k, ON_MARGIN: 1.0}, 1.0 - 0.02 * k) for k in range(8)
    )
    led = run(replace(second_inputs(aapl, first, champion), trials=past_trials), quiet)
    assert led.trials != second.trials


def test_useless_features_are_left_out_of_a_new_model_but_stay_columns(
    aapl: Bars, first: SessionOutcome, champion: ReferenceModel
) -> None:
    outcome = run(replace(second_inputs(aapl, first, champion), useless=("weekday", "gap_1")), quiet)
    assert [each.id for each in outcome.columns_left_out] == ["gap_1", "weekday"]
    assert outcome.features[: len(first.features)] == first.features
    links = load(outcome.artifact).function.links
    if len(links) == 1:
        left = {outcome.features.index(name) for name in ("weekday", "gap_1")}
        assert left.isdisjoint(links[0].reads)
        assert not {"weekday", "gap_1"} & {each.name for each in outcome.importance}


def test_what_patterns_are_worth_is_measured_where_there_are_some(
    first: SessionOutcome, second: SessionOutcome
) -> None:
    assert first.patterns_worth is None
    assert second.patterns_worth is not None
    assert second.patterns_worth.low < second.patterns_worth.value < second.patterns_worth.high


def test_patterns_that_are_all_that_a_new_model_reads_are_worth_something_too(
    aapl: Bars, first: SessionOutcome, champion: ReferenceModel
) -> None:
    outcome = run(replace(second_inputs(aapl, first, champion), useless=first.features), quiet)
    assert outcome.patterns_worth is not None
    assert outcome.patterns_worth.low < outcome.patterns_worth.value < outcome.patterns_worth.high
    assert {each.id for each in outcome.columns_left_out} == set(first.features)


def test_without_mining_nothing_is_searched(first_inputs: SessionInputs) -> None:
    outcome = run(replace(first_inputs, options=SessionOptions(suggestions=0, mine=False)), quiet)
    assert (outcome.mining.rules, outcome.mining.skipped, len(outcome.trials)) == ((), "not_asked_for", 2)


def test_every_baseline_is_on_the_same_bars(first: SessionOutcome) -> None:
    assert {*SKILL_BASELINES} < {each.name for each in first.baselines}
    assert {each.metrics.bars for each in first.baselines} == {first.metrics.bars} == {146}


def test_shares_of_importance_sum_to_one(second: SessionOutcome) -> None:
    assert sum(max(0.0, each.share.value) for each in second.importance) == pytest.approx(1.0)
    assert [each.rank for each in second.importance] == list(range(1, len(second.importance) + 1))
    assert all(each.useless == (not each.share.low > 0) for each in second.importance)


def test_progress_rises_and_what_it_raises_ends_the_session(first_inputs: SessionInputs) -> None:
    seen: list[float] = []

    def cancel(phase: str, fraction: float) -> None:
        seen.append(fraction)
        if phase == "training":
            raise Cancelled("cancelled by a person")

    with pytest.raises(Cancelled):
        run(first_inputs, cancel)
    assert seen == sorted(seen)
    assert len(seen) > 1


def test_short_series_are_refused(aapl: Bars) -> None:
    with pytest.raises(DataRefused, match="AAPL: 549 usable bars, 600 needed"):
        run(SessionInputs("AAPL", "range", 1, "logistic", aapl.head(800), seed=1), quiet)


def test_a_damaged_or_foreign_parent_is_refused(aapl: Bars, first: SessionOutcome, champion: ReferenceModel) -> None:
    inputs = second_inputs(aapl, first, champion)
    with pytest.raises(CorruptData):
        run(replace(inputs, parent=replace(champion, artifact=champion.artifact[:-100])), quiet)
    with pytest.raises(InvalidInput, match="predicts range of AAPL 1 bars ahead, not volume of AAPL"):
        run(replace(inputs, target="volume"), quiet)
