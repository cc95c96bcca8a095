# ruff: noqa: N806
"""Where a window has fewer than 20 of a class the answer is the class frequency, and no metric is defined."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from ratchet.errors import DataRefused
from ratchet.scoring import features, targets
from ratchet.scoring.baselines import forecasts
from ratchet.scoring.columns import ONLINE_LOG_ODDS, predict
from ratchet.scoring.data.bars import PRICES, Bars
from ratchet.scoring.models.artifact import load
from ratchet.scoring.models.families import FAMILIES
from ratchet.scoring.models.port import Floats, logit, sigmoid
from services.trainer.learning.candidates import CandidateData
from services.trainer.learning.inputs import ReferenceModel, SessionInputs, SessionOptions
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.learning.scratch import scratch_final, scratch_trial
from services.trainer.learning.session import plan, run
from services.trainer.learning.study import study_plan
from services.trainer.learning.windows import split

N = 1600
DAY = 86_400
QUICK = SessionOptions(suggestions=1)
quick_families = pytest.mark.parametrize("kind", [name for name in FAMILIES if name != "lstm"])


def trained(bars: Bars, target: str, horizon: int = 1, kind: str = "har") -> SessionOutcome:
    return run(SessionInputs(bars.series, target, horizon, kind, bars, seed=1, options=QUICK), lambda phase, done: None)


def on_holdout(outcome: SessionOutcome, bars: Bars, target: str, horizon: int) -> tuple[Floats, Floats, Floats]:
    """What the model and the base rate say of the holdout, and its labels."""
    rows = plan(bars, target, horizon, None).windows.holdout.rows()
    p, base = predict(load(outcome.artifact), bars), forecasts(bars, target, horizon)["base-rate@baseline"]
    return p[rows], base[rows], targets.labels(target, bars, horizon)[rows]


def brier(p: Floats, y: Floats) -> float:
    return float(np.mean((p - y) ** 2))


def rising() -> Bars:
    """Every close is above the one before."""
    generator = np.random.default_rng(1)
    close = 100.0 * 1.001 ** np.arange(1500)
    spread = close * generator.uniform(2e-4, 2e-3, 1500)
    return Bars("UP", DAY * np.arange(1500), close, close + spread, close - spread, close, 1e5 * generator.random(1500))


def constant() -> Bars:
    flat = np.full(1500, 10.0)
    return Bars("FLAT", DAY * np.arange(1500), flat, flat, flat, flat, np.full(1500, 1000.0))


@quick_families
@pytest.mark.parametrize(("bars", "target", "label"), [(rising(), "direction", 1.0), (constant(), "range", 0.0)])
def test_a_series_of_one_class_is_answered_with_it_and_has_no_metrics(
    bars: Bars, target: str, label: float, kind: str
) -> None:
    outcome = trained(bars, target, kind=kind)
    p, _, y = on_holdout(outcome, bars, target, 1)
    assert set(y) == {label}
    assert np.abs(p - label).max() < 0.003
    measured = (outcome.metrics, *(each.metrics for each in outcome.baselines))
    for each in measured:
        assert np.isnan([each.brier.value, each.accuracy.value, each.auc.value, each.log_loss.value]).all()
    assert not outcome.skill_shown
    assert outcome.mining.skipped == "rare_class"
    assert len(outcome.trials) == 1


@quick_families
def test_a_holdout_of_one_class_costs_no_model_more_than_the_frequency_of_the_labels_before(
    ibm: Bars, kind: str
) -> None:
    """IBM's volatility of 20 bars was below its median throughout the last of these windows."""
    bars = ibm.until(int(datetime(2004, 1, 12, tzinfo=UTC).timestamp()))
    p, base, y = on_holdout(trained(bars, "volatility", 20, kind), bars, "volatility", 20)
    assert set(y) == {0.0}
    assert not (p == 0.5).any()
    assert brier(p, y) <= brier(np.full(len(y), base[0]), y)


def test_tune_reaches_back_until_it_holds_20_of_each_class(ibm: Bars) -> None:
    bars = ibm.until(int(datetime(2004, 1, 12, tzinfo=UTC).timestamp()))
    windows = plan(bars, "volatility", 20, None).windows
    y = targets.labels("volatility", bars, 20)
    rows = windows.tune.rows()
    assert len(rows) > len(windows.choose)
    assert (y[rows].sum(), y[rows[0]]) == (20.0, 1.0)


@pytest.mark.parametrize("kind", ["har", "random-forest", "xgboost"])
def test_where_tune_and_choose_show_nothing_the_answer_is_the_frequency_of_all_labels(kind: str) -> None:
    generator = np.random.default_rng(3)
    X = generator.normal(size=(N, 4))
    y = (generator.random(N) < sigmoid(2.0 * X[:, 0])).astype(np.float64)
    y[700:] = 0.0
    y[-1] = np.nan
    columns = ("a", "b", "c", ONLINE_LOG_ODDS)
    made = CandidateData(X, y, columns, split(y, 1, None), FAMILIES[kind], 1)
    trial = scratch_trial(made, study_plan(made.family, 3, None, suggestions=2))
    assert (len(trial.trials), trial.step, trial.smaller_step_gain) == (1, 4, None)
    final = scratch_final(made, trial)
    for function, end in ((trial.function, made.windows.choose), (final, made.windows.holdout)):
        known = y[made.windows.before(end.start)]
        frequency = (known.sum() + 1) / (len(known) + 2)
        assert function.margin(X, np.arange(N)) == pytest.approx(logit(np.array([frequency]))[0])


def suspended(bars: Bars, count: int) -> Bars:
    """The bars, and `count` more of the last price without volume."""

    def more(values: Floats, value: float) -> Floats:
        return np.concatenate([values, np.full(count, value)])

    prices = {name: more(getattr(bars, name), bars.close[-1]) for name in PRICES}
    time = np.concatenate([bars.time, bars.time[-1] + DAY * np.arange(1, count + 1)])
    return replace(bars, time=time, **prices, volume=more(bars.volume, 0.0))


def test_bars_on_which_nothing_trades_label_nothing(ibm: Bars) -> None:
    bars = ibm.head(1500)
    before = plan(bars, "range", 1, None)
    traded = suspended(bars, 400).traded()
    assert plan(traded, "range", 1, None) == before
    assert plan(traded, "range", 1, before.market_time).new_bars == 0
    assert trained(traded, "range").artifact == trained(bars, "range").artifact


@pytest.fixture(scope="module")
def without_volume(aapl: Bars) -> Bars:
    return replace(aapl.head(1900), series="GBPUSD", volume=np.zeros(1900))


@pytest.mark.parametrize("kind", ["har", "xgboost"])
def test_a_series_without_volume_is_learned_without_its_features(without_volume: Bars, kind: str) -> None:
    first = trained(without_volume.head(1300), "range", kind=kind)
    scored = ReferenceModel("v1", first.artifact, first.fit_end_label_time, 1, first.params)
    inputs = SessionInputs(
        "GBPUSD", "range", 1, kind, without_volume, seed=2, sessions=1, parent=scored, champion=scored, options=QUICK
    )
    second = run(inputs, lambda phase, done: None)
    absent = {*features.LIBRARY} - {*features.available(without_volume)}
    assert {"volume_regime", "volume_ratio_20", "mfi_14"} <= absent
    for outcome in (first, second):
        assert absent.isdisjoint(outcome.features)
        assert all(absent.isdisjoint(each.rule.features) for each in outcome.mining.rules)
        assert np.isfinite(outcome.metrics.brier.value)
        assert all(np.isfinite(each.metrics.brier.value) for each in outcome.baselines)
    assert {each.by for each in second.error_analysis} == {"all", "probability", "weekday", "volatility_regime_20"}


def test_the_volume_of_a_series_without_volume_is_no_target(without_volume: Bars) -> None:
    with pytest.raises(DataRefused, match="GBPUSD has no volume: every bar has 0; choose another target"):
        trained(without_volume, "volume")
