"""E is the betting e-value as defined, it is fair, and luck rarely takes it to 20."""

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ratchet.errors import InvalidInput
from ratchet.statistics.evalue import LAMBDAS, e_values, loss_difference

probability = st.floats(0.0, 1.0)


def columns(*rows: tuple[float, float, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p_a, p_b, y = zip(*rows, strict=True)
    return np.array(p_a), np.array(p_b), np.array(y, dtype=bool)


def by_definition(p_a: list[float], p_b: list[float], y: list[int], h: int) -> float:
    """The definition in loops, bar after bar."""
    c = [abs(a - b) * max(a + b, 2 - a - b) for a, b in zip(p_a, p_b, strict=True)]
    d = [(a - o) ** 2 - (b - o) ** 2 for a, b, o in zip(p_a, p_b, y, strict=True)]
    total = 0.0
    for lam in LAMBDAS:
        for residue in range(h):
            wealth = 1.0
            for t in range(residue, len(d), h):
                if c[t] > 0:
                    mean_c = sum(c[: t + 1]) / (t + 1)
                    wealth *= 1 + min(lam / mean_c, 0.95 / c[t]) * d[t]
            total += wealth
    return total / (len(LAMBDAS) * h)


def test_one_bar_by_hand() -> None:
    # d = .25 - .0625 = .1875 and c = .25 * 1.25 = .3125, so s d = .6 min(lambda, .95); lambdas capped sum to 2.85
    e = e_values(*columns((0.5, 0.75, 1)), horizon=1)
    assert e.contender == pytest.approx(1 + 0.6 * 2.85 / 7)
    assert e.champion == pytest.approx(1 - 0.6 * 2.85 / 7)


def test_two_bars_by_hand_with_an_agreement_between() -> None:
    # The bar of agreement halves the mean of c, which doubles the third bar's stakes relative to c = mean * 3/2.
    rows = columns((0.5, 0.75, 1), (0.4, 0.4, 0), (0.5, 0.75, 1))
    shares = [(min(lam, 0.95), min(1.5 * lam, 0.95)) for lam in LAMBDAS]
    expected = sum((1 + 0.6 * first) * (1 + 0.6 * third) for first, third in shares) / 7
    assert e_values(*rows, horizon=1).contender == pytest.approx(expected)


@given(st.lists(st.tuples(probability, probability, st.integers(0, 1)), min_size=1, max_size=30), st.integers(1, 6))
def test_it_agrees_with_the_definition(rows: list[tuple[float, float, int]], horizon: int) -> None:
    rows = [(round(a, 6), round(b, 6), o) for a, b, o in rows]
    p_a, p_b, y = (list(column) for column in zip(*rows, strict=True))
    e = e_values(*columns(*rows), horizon=horizon)
    assert e.contender == pytest.approx(by_definition(p_a, p_b, y, horizon), rel=1e-9)
    assert e.champion == pytest.approx(by_definition(p_b, p_a, y, horizon), rel=1e-9)


@given(arrays(np.float64, 40, elements=probability), arrays(np.bool_, 40), st.integers(1, 60))
def test_models_that_agree_give_exactly_1(p: np.ndarray, y: np.ndarray, horizon: int) -> None:
    e = e_values(p, p, y, horizon)
    assert (e.contender, e.champion) == (1.0, 1.0)


@given(st.lists(st.tuples(probability, probability, st.integers(0, 1)), max_size=40), st.integers(1, 7))
def test_it_is_always_a_positive_finite_number(rows: list[tuple[float, float, int]], horizon: int) -> None:
    p_a, p_b, y = columns(*rows) if rows else (np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool))
    e = e_values(p_a, p_b, y, horizon)
    assert 0 < e.contender < math.inf
    assert 0 < e.champion < math.inf


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_bet_is_fair_when_neither_is_better(horizon: int) -> None:
    """Over all outcomes, with the chance halfway between the two models, the mean of E is exactly 1."""
    p_a, p_b = np.array([0.5, 0.2, 0.9, 0.55, 0.3]), np.array([0.6, 0.25, 0.4, 0.55, 0.1])
    chance = (p_a + p_b) / 2
    mean = 0.0
    for outcome in itertools.product([False, True], repeat=5):
        y = np.array(outcome)
        mean += np.where(y, chance, 1 - chance).prod() * e_values(p_a, p_b, y, horizon).contender
    assert mean == pytest.approx(1.0, abs=1e-12)


def test_luck_takes_a_fixed_pair_to_20_in_at_most_a_twentieth_of_runs() -> None:
    """Looked at after every 21 bars for 420 bars, as the anytime guarantee allows."""
    rng, runs, reached = np.random.default_rng(20), 300, 0
    for _ in range(runs):
        logit = rng.normal(0, 0.32, 420)
        p_a, p_b = (1 / (1 + np.exp(-0.95 * logit - rng.normal(0, 0.25, 420))) for _ in range(2))
        y = rng.random(420) < (p_a + p_b) / 2
        looks = range(21, 421, 21)
        reached += any(e_values(p_a[:n], p_b[:n], y[:n], 1).contender >= 20 for n in looks)
    assert 0 < reached / runs <= 0.05


def test_a_much_better_contender_gets_there() -> None:
    rng = np.random.default_rng(3)
    y = rng.random(300) < 0.5
    e = e_values(np.full(300, 0.5), np.where(y, 0.6, 0.4), y, 1)
    assert e.contender > 1e6
    assert e.champion < 0.05


def test_an_enormous_value_stays_finite() -> None:
    y = np.ones(5_000, dtype=bool)
    assert e_values(np.full(5_000, 0.1), np.full(5_000, 0.9), y, 1).contender == sys.float_info.max


def test_denormal_disagreement_is_no_trouble() -> None:
    e = e_values(np.array([0.0, 0.3]), np.array([5e-324, 0.3]), np.array([True, False]), 1)
    assert math.isfinite(e.contender)


def test_loss_difference_is_positive_when_the_contender_is_better() -> None:
    assert loss_difference(*columns((0.5, 0.75, 1), (0.5, 0.75, 0))) == pytest.approx([0.1875, -0.3125])


def test_horizon_and_lengths_are_checked() -> None:
    with pytest.raises(InvalidInput, match="horizon is 0"):
        e_values(*columns((0.5, 0.6, 1)), horizon=0)
    with pytest.raises(InvalidInput, match="p_a 2, p_b 1"):
        e_values(np.zeros(2), np.zeros(1), np.zeros(2, dtype=bool), 1)
