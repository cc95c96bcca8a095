"""Forecasts of a segment: each alternative is fitted on labels known before it, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.errors import DataRefused
from ratchet.scoring import targets
from ratchet.scoring.columns import predict
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.evaluation import Evaluation, RecordedModel, Segment, evaluate, segment_bars
from ratchet.scoring.models import artifact
from services.trainer.learning.fresh import FreshFit, FreshForecast, evaluate_fresh
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.session import plan, run

FIRST, LAST = 1500, 1599
BASELINES = tuple(
    f"{name}@baseline"
    for name in ("base-rate", "persistence", "har", "ridge", "boosting", "online", "mean", "stack", "har-level")
)
FRESH = "fresh"
KINDS = (*BASELINES, FRESH)


def quiet(phase: str, fraction: float) -> None:
    pass


def segment(bars: Bars, horizon: int = 1, first: int = FIRST, last: int = LAST) -> Segment:
    """The baselines on AAPL's range, from bar `first` to bar `last`."""
    times = bars.time
    known, start = segment_bars(bars, horizon, int(times[first]), int(times[last]))
    return Segment("range", horizon, known, start, baselines=True)


def fresh(scored: Segment, kind: str = "logistic", seed: int = 0) -> FreshForecast:
    return evaluate_fresh(FreshFit(scored, kind, seed=seed), quiet)


def said(scored: Evaluation) -> dict[str, Floats]:
    return {forecast.name: forecast.probabilities for forecast in scored.forecasts}


def all_said(asked: Segment, kind: str = "logistic") -> dict[str, Floats]:
    """Of the baselines, and of a model fitted from scratch."""
    found, fitted = evaluate(asked, quiet), fresh(asked, kind)
    assert np.array_equal(found.times, fitted.times)
    return {**said(found), FRESH: fitted.probabilities}


def shuffled_after(bars: Bars, row: int) -> Bars:
    """The bars after `row` in another order, at the same times."""
    later = np.random.default_rng(7).permutation(np.arange(row + 1, len(bars)))
    order = np.concatenate([np.arange(row + 1), later])
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars(bars.series, bars.time, *(column[order] for column in columns))


@pytest.mark.parametrize("horizon", [1, 5])
def test_what_comes_after_the_last_label_changes_nothing(aapl: Bars, horizon: int) -> None:
    one, other = segment(aapl, horizon), segment(shuffled_after(aapl, LAST + horizon), horizon)
    assert np.array_equal(evaluate(one, quiet).outcomes, evaluate(other, quiet).outcomes)
    again = all_said(other)
    for name, p in all_said(one).items():
        assert np.array_equal(p, again[name]), name


@pytest.mark.parametrize("kind", ["logistic", "xgboost"])
def test_what_comes_after_the_first_scored_bar_is_in_no_fit(aapl: Bars, kind: str) -> None:
    one, other = segment(aapl), segment(shuffled_after(aapl, FIRST))
    assert not np.array_equal(evaluate(one, quiet).outcomes, evaluate(other, quiet).outcomes)
    now, then = all_said(one, kind), all_said(other, kind)
    for name in KINDS:
        assert now[name][0] == then[name][0], name


def test_the_last_bars_before_it_are_in_no_fit_while_their_labels_are_unknown(aapl: Bars) -> None:
    horizon = 20
    other = shuffled_after(aapl, FIRST)
    changed = targets.labels("range", aapl, horizon) != targets.labels("range", other, horizon)
    assert changed[FIRST - horizon : FIRST].any()
    now, then = all_said(segment(aapl, horizon)), all_said(segment(other, horizon))
    for name in KINDS:
        assert now[name][0] == then[name][0], name


@pytest.mark.parametrize("kind", ["logistic", "xgboost"])
def test_fresh_is_what_a_first_session_trains(aapl: Bars, kind: str) -> None:
    bars = aapl.head(1400)
    windows = plan(bars, "range", 1, None).windows
    session = run(SessionInputs("AAPL", "range", 1, kind, bars, seed=7), quiet)
    held = windows.holdout.rows()
    seed = int(np.random.SeedSequence([7, 0]).generate_state(1)[0])
    asked = Segment("range", 1, bars, int(held[0]), baselines=True)
    fitted = fresh(asked, kind, seed)
    assert np.array_equal(fitted.times, bars.time[held])
    assert np.array_equal(fitted.probabilities, predict(artifact.load(session.artifact), bars)[held])
    scored = evaluate(asked, quiet)
    for baseline in session.baselines:
        loss = float(np.mean((said(scored)[baseline.name] - scored.outcomes) ** 2))
        assert loss == pytest.approx(baseline.metrics.brier.value, abs=1e-12), baseline.name


def test_all_are_asked_about_the_bars_whose_label_is_known(aapl: Bars) -> None:
    bars = aapl.head(LAST + 1)
    asked = segment(bars, horizon=5)
    scored, found = evaluate(asked, quiet), all_said(asked)
    y = targets.labels("range", bars, 5)[FIRST : LAST - 4]
    assert np.array_equal(scored.times, bars.time[FIRST : LAST - 4])
    assert np.array_equal(scored.outcomes, y == 1.0)
    assert tuple(found) == KINDS
    for p in found.values():
        assert p.shape == scored.times.shape
        assert ((p > 0.0) & (p < 1.0)).all()


def test_the_time_of_a_fit_is_counted_where_it_was_spent(aapl: Bars) -> None:
    seconds = iter(range(100))
    fitted = evaluate_fresh(FreshFit(segment(aapl), "logistic"), quiet, clock=lambda: float(next(seconds)))
    assert fitted.cpu_seconds == 1.0


def test_a_recorded_model_is_asked_as_it_is(aapl: Bars) -> None:
    session = run(SessionInputs("AAPL", "range", 1, "logistic", aapl.head(1400), seed=7), quiet)
    bars, first = segment_bars(aapl, 1, int(aapl.time[FIRST]), int(aapl.time[LAST]))
    scored = evaluate(Segment("range", 1, bars, first, models=(RecordedModel("it", session.artifact),)), quiet)
    whole = predict(artifact.load(session.artifact), aapl)
    assert said(scored).keys() == {"it"}
    assert np.allclose(said(scored)["it"], whole[FIRST : LAST + 1], rtol=0, atol=1e-12)


def test_too_few_bars_before_it_are_refused(aapl: Bars) -> None:
    enough = 250 + 600 + 1
    assert len(fresh(segment(aapl, first=enough, last=enough + 20)).times) == 21
    with pytest.raises(DataRefused, match=r"AAPL: 599 usable bars with labels known before .*, 600 needed to fit"):
        fresh(segment(aapl, first=enough - 1, last=enough + 20))


def test_a_period_without_a_bar_or_a_label_is_refused(aapl: Bars) -> None:
    day = 86_400
    with pytest.raises(DataRefused, match="AAPL has no bar from 2013-03-02 to 2013-03-09; it has 2000-03-01 to"):
        segment_bars(aapl, 1, int(aapl.time[-1]) + day, int(aapl.time[-1]) + 8 * day)
    with pytest.raises(DataRefused, match="has no bar from 2000-03-02 to 2000-03-01"):
        segment_bars(aapl, 1, int(aapl.time[1]), int(aapl.time[0]))
    with pytest.raises(DataRefused, match="no bar of this period has both a known label, 1 bars later"):
        evaluate(segment(aapl, first=len(aapl) - 1, last=len(aapl) - 1), quiet)
