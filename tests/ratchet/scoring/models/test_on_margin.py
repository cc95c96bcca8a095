# ruff: noqa: N806
"""On a margin a family learns what the margin misses, and nothing that it knows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.models.artifact import ModelFile, dump, load
from ratchet.scoring.models.families import FAMILIES, family
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Fitted, Floats, Sample, sigmoid

N = 3000
TRAINING, STOPPING, FRESH = np.arange(1800), np.arange(1800, 2200), np.arange(2200, N)
every_family = pytest.mark.parametrize("name", FAMILIES)


@cache
def bars(missing: float) -> tuple[Floats, Floats, Floats]:
    """Features, the first two of which tell the labels; labels; and a margin that knows only the first."""
    generator = np.random.default_rng(6)
    X = generator.normal(size=(N, 5))
    margin = 1.5 * X[:, 0] - 0.5
    y = (generator.random(N) < sigmoid(margin + missing * X[:, 1])).astype(np.float64)
    return X, y, margin


@cache
def fitted(name: str, missing: float, on_margin: bool = True) -> Fitted:
    X, y, margin = bars(missing)

    def sample(rows: np.ndarray) -> Sample:
        return Sample(X, y, rows, margin=margin[rows] if on_margin else None)

    return family(name).fit(sample(TRAINING), family(name).params(1), 3, stop=sample(STOPPING))


def loss(z: Floats, y: Floats) -> float:
    return float(np.mean((sigmoid(z) - y) ** 2))


@every_family
def test_little_is_added_to_a_margin_that_explains_everything(name: str) -> None:
    X, y, margin = bars(0.0)
    added = fitted(name, 0.0).margin(X, FRESH)
    alone = fitted(name, 0.0, on_margin=False).margin(X, FRESH)
    assert np.mean(np.abs(added)) < 0.3 * np.mean(np.abs(alone))
    assert np.mean(np.abs(added)) < 0.3
    assert loss(margin[FRESH] + added, y[FRESH]) < loss(margin[FRESH], y[FRESH]) + 0.006


@every_family
def test_what_the_margin_misses_is_found(name: str) -> None:
    X, y, margin = bars(1.5)
    added = fitted(name, 1.5).margin(X, FRESH)
    assert np.corrcoef(added, X[FRESH, 1])[0, 1] > 0.7
    assert abs(np.corrcoef(added, X[FRESH, 0])[0, 1]) < 0.35
    assert loss(margin[FRESH] + added, y[FRESH]) < loss(margin[FRESH], y[FRESH]) - 0.02


@every_family
def test_a_stored_part_adds_the_same(name: str) -> None:
    X, _, margin = bars(1.5)
    part, rows = fitted(name, 1.5), np.arange(N)
    assert family(name).restore(part.state()).margin(X, rows).tobytes() == part.margin(X, rows).tobytes()
    columns = (*"abcde", ONLINE_LOG_ODDS)
    function = Function(columns, (Link((0, 1, 2, 3, 4), part, 0.9, 0.8, 0.1),), start=5)
    loaded = load(dump(ModelFile("AAPL", "range", 1, name, function, (), history=0)))
    assert (loaded.on_margin, loaded.function.start) == (True, 5)
    wide = np.column_stack([X, margin])
    assert loaded.function.margin(wide, rows).tobytes() == function.margin(wide, rows).tobytes()


@every_family
def test_too_few_of_a_class_add_nothing(name: str) -> None:
    X, y, margin = bars(0.0)
    rare = np.zeros(N)
    rare[np.flatnonzero(y)[:19]] = 1.0
    part = family(name).fit(Sample(X, rare, TRAINING, margin=margin[TRAINING]), family(name).params(1), 3)
    assert (part.margin(X, FRESH) == 0.0).all()


def test_a_function_starts_from_its_column_and_from_zero_where_that_is_not_known() -> None:
    X = np.array([[0.7, 9.0], [np.nan, 9.0], [-9.0, 9.0]])
    function = Function((ONLINE_LOG_ODDS, "a"), (Link((), None, 1.0, 0.0, 0.25),), start=0)
    assert function.margin(X, np.arange(3)).tolist() == [0.95, 0.25, -6.0]
