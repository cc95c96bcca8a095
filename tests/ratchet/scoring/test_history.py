# ruff: noqa: N806
"""History: a tail of that many bars is answered as the whole series is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ratchet.scoring import features, targets
from ratchet.scoring.columns import ONLINE_LOG_ODDS, predict, table_for
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.history import TOLERANCE, WINDOW, required_history
from ratchet.scoring.models.artifact import FrozenPattern, ModelFile
from ratchet.scoring.models.families import FAMILIES, family
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import LOOK_BACK, Sample
from ratchet.scoring.rule import Condition, Rule

FADING = "ema_gap_50"
"""A column with an exponential average: its look-back has no end."""
RULE = FrozenPattern("hot", Rule((Condition("volatility_regime_60", ">", 1.0),), 1), 0)


def fitted(bars: Bars, name: str, read: tuple[str, ...], unread: tuple[str, ...] = ()) -> ModelFile:
    """A model of the named columns, fitted on the first 2,000 bars, with columns that it does not read before them."""
    columns, patterns = (*unread, *read), (RULE,) if RULE.column in read else ()
    bare = ModelFile(bars.series, "range", 1, name, Function(columns, ()), patterns, history=0)
    X, y = matrix(bare, bars), targets.labels("range", bars, 1)
    reads = tuple(range(len(unread), len(columns)))
    kind, rows = family(name), np.arange(250, 2_000)
    part = kind.fit(Sample(X[:, list(reads)], y, rows), kind.params(1), 1)
    return replace(bare, function=Function(columns, (Link(reads, part, 0.0, 1.0, 0.0),)))


def matrix(model: ModelFile, bars: Bars) -> np.ndarray:
    return table_for(model, bars).matrix(model.columns, model.patterns)


def differs(model: ModelFile, bars: Bars, length: int) -> bool:
    """Whether the last WINDOW forecasts on a tail are others than those on all bars, as `predict` makes them."""
    whole, tail = predict(model, bars), predict(model, bars.tail(length))
    return bool(np.any(np.abs(whole[-WINDOW:] - tail[-WINDOW:]) > TOLERANCE))


def measured(model: ModelFile, bars: Bars) -> int:
    return required_history(model, bars, table_for(model, bars))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tail_of_the_history_is_answered_as_the_whole_series(aapl: Bars, name: str) -> None:
    model = fitted(aapl, name, features.HAR)
    history = measured(model, aapl)
    assert WINDOW + 250 + 65 <= history <= WINDOW + 250 + 65 + LOOK_BACK
    assert not any(differs(model, aapl, length) for length in (history, history + 1, 2 * history))
    assert differs(model, aapl, 300)


def test_it_is_the_shortest_tail_where_columns_look_back_a_fixed_number_of_bars(aapl: Bars) -> None:
    model = fitted(aapl, "logistic", features.HAR)
    history = measured(model, aapl)
    assert history == WINDOW + 250 + 65
    assert differs(model, aapl, history - 1)


def test_a_column_that_fades_out_needs_more(aapl: Bars) -> None:
    model = fitted(aapl, "logistic", (*features.HAR, FADING))
    history = measured(model, aapl)
    assert 400 < history < 1_000
    assert not differs(model, aapl, history)
    assert differs(model, aapl, 365)


def test_a_column_that_the_model_does_not_read_does_not_count(aapl: Bars) -> None:
    unread = ("ema_gap_200", ONLINE_LOG_ODDS)
    model = fitted(aapl, "logistic", features.HAR, unread)
    assert measured(model, aapl) == measured(fitted(aapl, "logistic", features.HAR), aapl)


def test_the_columns_of_a_pattern_count(aapl: Bars) -> None:
    model = fitted(aapl, "logistic", (RULE.column, "volatility_5"))
    assert measured(model, aapl) > measured(fitted(aapl, "logistic", ("volatility_5",)), aapl) == WINDOW + 5
    assert not differs(model, aapl, measured(model, aapl))


def test_a_model_on_the_margin_needs_the_whole_series(aapl: Bars) -> None:
    model = fitted(aapl, "logistic", features.HAR, (ONLINE_LOG_ODDS,))
    on_margin = replace(model, function=replace(model.function, start=0))
    assert (on_margin.on_margin, measured(on_margin, aapl)) == (True, 0)


def test_a_series_without_a_shorter_tail_is_needed_whole(aapl: Bars) -> None:
    model = fitted(aapl, "logistic", features.HAR)
    assert measured(model, aapl.head(390)) == 0
    assert measured(fitted(aapl, "logistic", ("ema_gap_200",)), aapl.head(900)) == 0


def test_a_constant_needs_no_more_than_the_forecasts_that_are_compared(aapl: Bars) -> None:
    constant = Function(("return_1",), (Link((), None, 0.0, 0.0, 0.3),))
    model = ModelFile(aapl.series, "range", 1, "har", constant, (), history=0)
    assert measured(model, aapl) == WINDOW
