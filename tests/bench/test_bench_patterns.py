"""The bench's generator keeps its word, and its arithmetic is that of its table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench import pattern_rows
from bench.pattern_rows import COLUMNS, NAMES, ROWS, RULES, SUPPORT
from bench.patterns import Noise, Run, kept, mean_and_error, noise_line, planted_line, same
from services.trainer.mining.test import Evidence

SEEDS = range(3)
EFFECT = 0.2
NOISE = 4.0
"""Standard errors."""


@pytest.mark.parametrize("seed", SEEDS)
def test_five_rules_of_one_and_two_conditions_and_both_directions_are_planted(seed: int) -> None:
    series = pattern_rows.planted(seed, EFFECT)
    assert series.rows.X.shape == (ROWS, COLUMNS)
    assert len(series.rules) == RULES
    assert {len(rule.conditions) for rule in series.rules} == {1, 2}
    assert {rule.direction for rule in series.rules} == {0, 1}
    for rule in series.rules:
        assert SUPPORT[0] <= rule.fires(series.rows.X, NAMES).mean() <= SUPPORT[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rarest_rule_that_fires_has_its_way_and_elsewhere_is_a_coin(seed: int) -> None:
    series = pattern_rows.planted(seed, EFFECT)
    y, taken = series.rows.y, np.zeros(ROWS, dtype=bool)
    for fired, rule in sorted(
        ((rule.fires(series.rows.X, NAMES), rule) for rule in series.rules), key=lambda each: each[0].sum()
    ):
        free = fired & ~taken
        assert free.sum() >= 0.5 * fired.sum()
        hits = np.mean(y[free] == rule.direction)
        assert abs(hits - 0.5 - EFFECT) < NOISE * math.sqrt(0.21 / free.sum())
        taken |= fired
    assert abs(y[~taken].mean() - 0.5) < NOISE * 0.5 / math.sqrt((~taken).sum())


def test_noise_is_balanced_and_remembers_only_where_it_should() -> None:
    def resemblance(y: np.ndarray) -> float:
        return float(np.corrcoef(y[1:], y[:-1])[0, 1])

    shuffled, persistent = pattern_rows.shuffled(1), pattern_rows.persistent(1)
    assert abs(resemblance(shuffled.y)) < NOISE / math.sqrt(ROWS)
    assert resemblance(persistent.y) > 0.5
    assert 0.4 < persistent.y.mean() < 0.6


def test_a_rule_is_the_planted_one_when_it_says_the_same_of_half_of_the_bars() -> None:
    bars = np.arange(12)
    assert same((1, bars < 8), (1, (bars >= 4) & (bars < 8)))
    assert not same((1, bars < 8), (1, (bars >= 5) & (bars < 8)))
    assert not same((1, bars < 8), (0, bars < 8))


def test_kept_needs_the_test_and_the_line() -> None:
    fired = np.arange(1000) % 5 == 0
    labels = np.where(fired, np.arange(1000) % 4 != 0, np.arange(1000) % 2 == 0).astype(bool)
    test = Evidence(np.arange(1001), fired, labels)
    assert kept(test, 1, passed=True)
    assert not kept(test, 1, passed=False)
    assert not kept(test, 0, passed=True)


def test_the_lines_of_the_table_by_hand() -> None:
    assert mean_and_error([1.0, 3.0]) == "2.00 ± 1.00"
    runs = [Run(5, 4, 3, 0, 6, 0.5), Run(4, 4, 4, 1, 8, 0.5)]
    assert planted_line(0.2, runs) == (
        "| 20 points | 4.50 ± 0.50 | 4.00 ± 0.00 | 3.50 ± 0.50 | 0.50 ± 0.50 | 7.0 | yes (at least 3.2) |"
    )
    assert "no (at least 2.5)" in planted_line(0.17, [Run(4, 3, 2, 0, 5, 0.5)] * 2)
    assert (
        noise_line("shuffled", [Noise(3, 0, 0.1), Noise(0, 0, 0.1), Noise(3, 2, 0.1)]) == "| shuffled | 1 | 3 | 2.0 |"
    )
