"""Labels: what they are, when they are known, and that they never use a bar after t + h."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.names import DEFAULT_HORIZON, TARGETS, Target
from ratchet.scoring import targets
from ratchet.scoring.data import csv_file
from ratchet.scoring.data.bars import Bars

AAPL = Path(__file__).parents[4] / "ratchet" / "data" / "AAPL.csv"
HISTORY: dict[Target, int] = {"direction": 0, "range": 249, "volatility": 249, "volume": 19}
FIELDS = ("open", "high", "low", "close", "volume")


def aapl() -> Bars:
    return csv_file.read(AAPL.read_bytes(), "AAPL", AAPL.name).bars


def by_hand(target: Target, bars: Bars, t: int, h: int) -> float:
    """The definition, written out for one bar."""
    if target == "direction":
        return float(bars.close[t + h] > bars.close[t])
    if target == "range":
        spread = (bars.high - bars.low) / bars.close
        return float(spread[t + h] > np.median(spread[t - 249 : t + 1]))
    if target == "volume":
        return float(bars.volume[t + h] > np.mean(bars.volume[t - 19 : t + 1]))
    squares = np.diff(np.log(bars.close), prepend=np.nan) ** 2

    def realised(end: int) -> float:
        return float(np.sqrt(np.mean(squares[end - h + 1 : end + 1])))

    return float(realised(t + h) > np.median([realised(end) for end in range(t - 249, t + 1)]))


@pytest.mark.parametrize("horizon", [1, 5, 60])
@pytest.mark.parametrize("target", TARGETS)
def test_labels_are_what_the_definition_says(target: Target, horizon: int) -> None:
    bars = aapl().head(700)
    found = targets.labels(target, bars, horizon)
    for t in range(320, 700 - horizon, 7):
        assert found[t] == by_hand(target, bars, t, horizon), t


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("target", TARGETS)
def test_labels_are_known_from_enough_history_to_h_bars_before_the_end(target: Target, horizon: int) -> None:
    known = ~np.isnan(targets.labels(target, aapl().head(600), horizon))
    first = HISTORY[target] + (horizon if target == "volatility" else 0)
    assert known.tolist() == [first <= t < 600 - horizon for t in range(600)]


@settings(max_examples=40, deadline=None)
@given(
    target=st.sampled_from(TARGETS),
    horizon=st.integers(1, 60),
    cut=st.integers(1, 690),
    scale=st.sampled_from([1e-9, 1.0, 1e9, 1e100]),
)
def test_a_label_uses_no_bar_after_its_horizon(target: Target, horizon: int, cut: int, scale: float) -> None:
    bars = aapl().head(700)
    columns = {field: getattr(bars, field).copy() for field in FIELDS}
    for values in columns.values():
        values[cut:] = values[cut:][::-1] * scale
    other = Bars(bars.series, bars.time, **columns)
    known = max(cut - horizon, 0)
    whole = targets.labels(target, bars, horizon)[:known]
    assert np.array_equal(whole, targets.labels(target, other, horizon)[:known], equal_nan=True)
    assert np.array_equal(whole, targets.labels(target, bars.head(cut), horizon)[:known], equal_nan=True)


@pytest.mark.parametrize("target", TARGETS)
def test_persistence_is_the_last_label_that_was_known(target: Target) -> None:
    bars, horizon = aapl().head(600), 5
    repeated = targets.persistence(target, bars, horizon)
    label = targets.labels(target, bars, horizon)
    assert np.array_equal(repeated[horizon:], label[:-horizon], equal_nan=True)
    assert np.isnan(repeated[:horizon]).all()
    known_then = targets.persistence(target, bars.head(500), horizon)
    assert np.array_equal(known_then, repeated[:500], equal_nan=True)


def test_labels_are_balanced_enough_to_learn_from() -> None:
    for target in TARGETS:
        label = targets.labels(target, aapl(), DEFAULT_HORIZON[target])
        assert 0.35 < np.nanmean(label) < 0.65, target


def test_persistence_on_range_is_right_two_times_in_three() -> None:
    label, repeated = targets.labels("range", aapl(), 1), targets.persistence("range", aapl(), 1)
    known = ~np.isnan(label) & ~np.isnan(repeated)
    assert np.mean(label[known] == repeated[known]) == pytest.approx(0.65, abs=0.03)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_bars_have_labels_of_their_length(target: Target, n: int) -> None:
    assert len(targets.labels(target, aapl().head(n), 5)) == n
    assert len(targets.persistence(target, aapl().head(n), 5)) == n


def test_every_target_has_words_for_both_directions() -> None:
    assert targets.words("range", 1) == "wider range"
    assert targets.words("direction", 0) == "lower close"
    said = [targets.words(target, direction) for target in TARGETS for direction in (0, 1)]
    assert len(set(said)) == 2 * len(TARGETS)
    assert tuple(targets.TARGETS) == TARGETS


def test_what_is_no_target_or_horizon_is_refused() -> None:
    with pytest.raises(InvalidInput, match="did you mean range"):
        targets.labels("rnage", aapl(), 1)
    with pytest.raises(InvalidInput, match="horizon 0"):
        targets.labels("range", aapl(), 0)
