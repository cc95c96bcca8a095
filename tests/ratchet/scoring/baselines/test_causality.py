"""No column of a task and no baseline knows a bar that comes later, to the bit; what every baseline promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench import planted
from ratchet.names import SKILL_BASELINES, TARGETS
from ratchet.scoring.baselines import forecasts, refitted
from ratchet.scoring.columns import TASK_COLUMNS, FeatureTable
from ratchet.scoring.data.bars import COLUMNS, PRICES, WARM_UP, Bars, Floats
from ratchet.scoring.targets import labels

SYNTHETIC = planted.series(1)[0].head(900)


def fresh(bars: Bars, target: str, horizon: int) -> Mapping[str, Floats]:
    """What the baselines say in a process that has fitted nothing before."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(refitted, "_FIT_CACHE", refitted._FitCache(0))
        return forecasts(bars, target, horizon)


def of_task(bars: Bars, target: str, horizon: int) -> Mapping[str, Floats]:
    table = FeatureTable.of(bars, target, horizon, TASK_COLUMNS)
    return dict(zip(table.names, table.values.T, strict=True))


@cache
def whole(target: str, horizon: int) -> Mapping[str, Floats]:
    return {**fresh(SYNTHETIC, target, horizon), **of_task(SYNTHETIC, target, horizon)}


def shuffled(bars: Bars, start: int) -> Bars:
    """The bars from `start` on in another order, at the same times."""
    order = np.concatenate([np.arange(start), np.random.default_rng(7).permutation(np.arange(start, len(bars)))])
    return replace(bars, **{name: getattr(bars, name)[order] for name in COLUMNS})


def absurd(bars: Bars, start: int) -> Bars:
    """From `start` on, prices a million times as high and volume 1."""
    later = np.arange(len(bars)) >= start
    prices = {name: np.where(later, 1e6, 1.0) * getattr(bars, name) for name in PRICES}
    return replace(bars, **prices, volume=np.where(later, 1.0, bars.volume))


def changed(one: Mapping[str, Floats], other: Mapping[str, Floats], bars: int) -> list[str]:
    """The names whose values at the first `bars` bars are not the same to the bit."""
    return [name for name in one if one[name][:bars].tobytes() != other[name][:bars].tobytes()]


@settings(max_examples=12, deadline=None)
@given(
    target=st.sampled_from(TARGETS),
    horizon=st.sampled_from([1, 5]),
    known=st.integers(1, len(SYNTHETIC)),
    change=st.sampled_from([Bars.head, shuffled, absurd]),
)
@example(target="volatility", horizon=5, known=509, change=Bars.head)
def test_bars_that_come_later_change_no_forecast(target: str, horizon: int, known: int, change: object) -> None:
    assert callable(change)
    other = change(SYNTHETIC, known)
    found = {**fresh(other, target, horizon), **of_task(other, target, horizon)}
    assert changed(whole(target, horizon), found, known) == []


@pytest.mark.parametrize(("target", "horizon"), [pytest.param("range", 1, marks=pytest.mark.slow), ("volatility", 5)])
def test_bars_that_come_later_change_no_forecast_of_aapl(aapl: Bars, target: str, horizon: int) -> None:
    bars = aapl.head(1700)
    expected = {**fresh(bars, target, horizon), **of_task(bars, target, horizon)}
    for known in (260, 1333):
        other = shuffled(bars, known)
        assert changed(expected, {**fresh(other, target, horizon), **of_task(other, target, horizon)}, known) == []


def test_the_test_sees_a_forecast_that_looks_ahead() -> None:
    def peek(bars: Bars) -> Mapping[str, Floats]:
        return {"peek": np.append(bars.close[1:], np.nan)}

    assert changed(peek(SYNTHETIC), peek(SYNTHETIC.head(500)), 500) == ["peek"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_bar_has_a_probability_from_each_baseline(target: str) -> None:
    said = whole(target, 1)
    assert {*SKILL_BASELINES} < {*said}
    assert ("har-level@baseline" in said) == (target == "range")
    for name in said.keys() - {*TASK_COLUMNS}:
        p = said[name]
        assert p.shape == (len(SYNTHETIC),), name
        assert ((p > 0.0) & (p < 1.0)).all(), name
        assert (p[:WARM_UP] == 0.5).all(), name


@pytest.mark.parametrize("bars", [0, 1, 250, 251, 499])
def test_a_series_too_short_for_a_first_fit_is_answered_with_the_base_rate(bars: int) -> None:
    said = fresh(SYNTHETIC.head(bars), "range", 1)
    for name in ("har", "ridge", "boosting", "har-level"):
        assert np.array_equal(said[f"{name}@baseline"], said["base-rate@baseline"])
    assert {len(p) for p in said.values()} == {bars}


def test_bars_that_differ_from_those_of_an_earlier_fit_are_fitted_anew() -> None:
    before = fresh(SYNTHETIC, "range", 1)
    forecasts(SYNTHETIC, "range", 1)
    for other in (replace(SYNTHETIC, volume=SYNTHETIC.volume + 1.0), shuffled(SYNTHETIC, 300)):
        kept, anew = forecasts(other, "range", 1), fresh(other, "range", 1)
        assert changed(kept, anew, len(other)) == []
        assert changed(before, anew, len(other)) != []


def test_a_volume_that_begins_later_changes_no_earlier_forecast() -> None:
    late = replace(SYNTHETIC, volume=np.where(np.arange(len(SYNTHETIC)) < 700, 0.0, SYNTHETIC.volume))
    silent = late.head(690)
    assert not silent.has_volume
    for found in (forecasts(silent, "range", 1), fresh(silent, "range", 1)):
        assert changed(forecasts(late, "range", 1), found, 690) == []
    assert changed(forecasts(late, "range", 1), fresh(late, "range", 1), len(late)) == []


def test_bars_of_one_price_leave_the_level_a_forecast(aapl: Bars) -> None:
    """As in the early history of an index: closes alone are known."""
    bars = aapl.head(1600)
    early = np.arange(1600) < 700
    closes = {name: np.where(early, bars.close, getattr(bars, name)) for name in ("open", "high", "low")}
    flat = replace(bars, **closes)
    said, y = fresh(flat, "range", 1), labels("range", flat, 1)
    rows = np.arange(1100, 1599)
    losses = {name: np.mean((said[f"{name}@baseline"][rows] - y[rows]) ** 2) for name in ("har-level", "base-rate")}
    assert losses["har-level"] < losses["base-rate"]
