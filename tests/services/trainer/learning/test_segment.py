"""What is said of a segment: each alternative is fitted on what was known before it, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.errors import DataRefused
from ratchet.scoring import targets
from ratchet.scoring.columns import predict
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.models import artifact
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.segment import FRESH, Recorded, Scored, Segment, cut, evaluate
from services.trainer.learning.session import plan, run

FIRST, LAST = 1500, 1599
BASELINES = tuple(
    f"{name}@baseline"
    for name in ("base-rate", "persistence", "har", "ridge", "boosting", "online", "mean", "stack", "har-level")
)
KINDS = (*BASELINES, FRESH)


def quiet(phase: str, fraction: float) -> None:
    pass


def segment(bars: Bars, kind: str = "logistic", horizon: int = 1, first: int = FIRST, last: int = LAST) -> Segment:
    """All alternatives on AAPL's range, from bar `first` to bar `last`."""
    times = bars.time
    known, start = cut(bars, horizon, int(times[first]), int(times[last]))
    return Segment("range", horizon, known, start, baselines=True, fresh_model_type=kind)


def said(scored: Scored) -> dict[str, Floats]:
    return {forecast.name: forecast.probabilities for forecast in scored.forecasts}


def shuffled_after(bars: Bars, row: int) -> Bars:
    """The bars after `row` in another order, at the same times."""
    later = np.random.default_rng(7).permutation(np.arange(row + 1, len(bars)))
    order = np.concatenate([np.arange(row + 1), later])
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars(bars.series, bars.time, *(column[order] for column in columns))


@pytest.mark.parametrize("horizon", [1, 5])
def test_what_comes_after_the_last_label_changes_nothing(aapl: Bars, horizon: int) -> None:
    scored = evaluate(segment(aapl, horizon=horizon), quiet)
    other = evaluate(segment(shuffled_after(aapl, LAST + horizon), horizon=horizon), quiet)
    assert np.array_equal(scored.times, other.times)
    assert np.array_equal(scored.outcomes, other.outcomes)
    for name, p in said(scored).items():
        assert np.array_equal(p, said(other)[name]), name


@pytest.mark.parametrize("kind", ["logistic", "xgboost"])
def test_what_comes_after_the_first_scored_bar_is_in_no_fit(aapl: Bars, kind: str) -> None:
    scored = evaluate(segment(aapl, kind), quiet)
    other = evaluate(segment(shuffled_after(aapl, FIRST), kind), quiet)
    assert not np.array_equal(scored.outcomes, other.outcomes)
    for name in KINDS:
        assert said(scored)[name][0] == said(other)[name][0], name


def test_the_last_bars_before_it_are_in_no_fit_while_their_labels_are_unknown(aapl: Bars) -> None:
    horizon = 20
    scored = evaluate(segment(aapl, horizon=horizon), quiet)
    other = shuffled_after(aapl, FIRST)
    changed = targets.labels("range", aapl, horizon) != targets.labels("range", other, horizon)
    assert changed[FIRST - horizon : FIRST].any()
    again = evaluate(segment(other, horizon=horizon), quiet)
    for name in KINDS:
        assert said(scored)[name][0] == said(again)[name][0], name


@pytest.mark.parametrize("kind", ["logistic", "xgboost"])
def test_fresh_is_what_a_first_session_trains(aapl: Bars, kind: str) -> None:
    bars = aapl.head(1400)
    windows = plan(bars, "range", 1, None).windows
    session = run(SessionInputs("AAPL", "range", 1, kind, bars, seed=7), quiet)
    held = windows.holdout.rows()
    seed = int(np.random.SeedSequence([7, 0]).generate_state(1)[0])
    scored = evaluate(Segment("range", 1, bars, int(held[0]), baselines=True, fresh_model_type=kind, seed=seed), quiet)
    assert np.array_equal(scored.times, bars.time[held])
    assert np.array_equal(said(scored)[FRESH], predict(artifact.load(session.artifact), bars)[held])
    for baseline in session.baselines:
        loss = float(np.mean((said(scored)[baseline.name] - scored.outcomes) ** 2))
        assert loss == pytest.approx(baseline.metrics.brier.value, abs=1e-12), baseline.name


def test_all_are_asked_about_the_bars_whose_label_is_known(aapl: Bars) -> None:
    bars = aapl.head(LAST + 1)
    scored = evaluate(segment(bars, horizon=5), quiet)
    y = targets.labels("range", bars, 5)[FIRST : LAST - 4]
    assert np.array_equal(scored.times, bars.time[FIRST : LAST - 4])
    assert np.array_equal(scored.outcomes, y == 1.0)
    assert tuple(forecast.name for forecast in scored.forecasts) == KINDS
    for forecast in scored.forecasts:
        assert forecast.probabilities.shape == scored.times.shape
        assert ((forecast.probabilities > 0.0) & (forecast.probabilities < 1.0)).all()


def test_the_time_of_a_fit_is_counted_where_it_was_spent(aapl: Bars) -> None:
    seconds = iter(range(100))
    scored = evaluate(segment(aapl), quiet, clock=lambda: float(next(seconds)))
    spent = {forecast.name: forecast.cpu_seconds for forecast in scored.forecasts}
    assert spent == {**dict.fromkeys(BASELINES, 0.0), FRESH: 1.0}


def test_a_recorded_model_is_asked_as_it_is(aapl: Bars) -> None:
    session = run(SessionInputs("AAPL", "range", 1, "logistic", aapl.head(1400), seed=7), quiet)
    bars, first = cut(aapl, 1, int(aapl.time[FIRST]), int(aapl.time[LAST]))
    scored = evaluate(Segment("range", 1, bars, first, models=(Recorded("it", session.artifact),)), quiet)
    whole = predict(artifact.load(session.artifact), aapl)
    assert said(scored).keys() == {"it"}
    assert np.allclose(said(scored)["it"], whole[FIRST : LAST + 1], rtol=0, atol=1e-12)
    assert scored.forecasts[0].cpu_seconds == 0.0


def test_too_few_bars_before_it_are_refused(aapl: Bars) -> None:
    enough = 250 + 600 + 1
    assert len(evaluate(segment(aapl, first=enough, last=enough + 20), quiet).times) == 21
    with pytest.raises(DataRefused, match=r"AAPL: 599 usable bars with labels known before .*, 600 needed to fit"):
        evaluate(segment(aapl, first=enough - 1, last=enough + 20), quiet)


def test_a_period_without_a_bar_or_a_label_is_refused(aapl: Bars) -> None:
    day = 86_400
    with pytest.raises(DataRefused, match="AAPL has no bar from 2013-03-02 to 2013-03-09; it has 2000-03-01 to"):
        cut(aapl, 1, int(aapl.time[-1]) + day, int(aapl.time[-1]) + 8 * day)
    with pytest.raises(DataRefused, match="has no bar from 2000-03-02 to 2000-03-01"):
        cut(aapl, 1, int(aapl.time[1]), int(aapl.time[0]))
    with pytest.raises(DataRefused, match="no bar of this period has both a known label, 1 bars later"):
        evaluate(segment(aapl, first=len(aapl) - 1, last=len(aapl) - 1), quiet)
