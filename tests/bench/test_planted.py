"""The generator keeps its word: the rules are in the finished bars, and elsewhere there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from bench.planted import USABLE, from_mining_alone, series
from ratchet.scoring import features, targets
from ratchet.scoring.columns import FeatureTable
from ratchet.scoring.data.bars import Bars, check
from ratchet.scoring.rule import Floats, Rule
from ratchet.scoring.targets import usable_rows

SEEDS = range(10)
NOISE = 4.0
"""Standard errors."""


def usable(bars: Bars, names: tuple[str, ...]) -> tuple[Floats, Floats]:
    """The named features and the labels of the usable bars, both as the trainer computes them."""
    y = targets.labels("direction", bars, 1)
    rows = usable_rows(y)
    return features.compute(bars, names)[rows], y[rows]


def fires(rule: Rule, bars: Bars) -> np.ndarray:
    return rule.fires(usable(bars, rule.features)[0], rule.features)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_rule_fires_on_8_to_20_percent_of_the_bars_and_is_right_in_four_of_five(seed: int) -> None:
    bars, rules = series(seed)
    _, y = usable(bars, ("weekday",))
    for rule in rules:
        fired = fires(rule, bars)
        against = np.logical_or.reduce([fires(other, bars) for other in rules if other.direction != rule.direction])
        alone = fired & ~against
        hits = np.mean(y[alone] == rule.direction)
        assert 0.08 <= fired.mean() <= 0.2
        assert abs(hits - 0.8) < NOISE * np.sqrt(0.16 / alone.sum())
        assert alone.sum() >= 0.9 * fired.sum()


def test_where_no_rule_fires_or_two_contradict_each_other_the_next_move_is_a_coins() -> None:
    heads, bars_of_coins = 0.0, 0
    for seed in SEEDS:
        bars, rules = series(seed)
        _, y = usable(bars, ("weekday",))
        up, down = (
            np.logical_or.reduce([fires(rule, bars) for rule in rules if rule.direction == label]) for label in (1, 0)
        )
        heads += y[up == down].sum()
        bars_of_coins += int((up == down).sum())
    assert abs(heads / bars_of_coins - 0.5) < NOISE * 0.5 / np.sqrt(bars_of_coins)


def test_a_strength_of_1_is_exact_so_that_no_label_escapes_its_rule() -> None:
    bars, rules = series(3, rules=1, strength=1.0)
    _, y = usable(bars, ("weekday",))
    assert set(y[fires(rules[0], bars)]) == {float(rules[0].direction)}


def test_rules_of_base_features_and_rules_that_only_mining_brings_in_are_both_planted() -> None:
    for seed in SEEDS:
        _, rules = series(seed)
        assert [from_mining_alone(rule) for rule in rules] == [False, True, True]
        assert {rule.direction for rule in rules} == {0, 1}


@pytest.mark.parametrize("rules", [0, 3])
def test_the_bars_are_bars_with_3000_usable_ones(rules: int) -> None:
    bars, planted = series(5, rules)
    check(bars, "generated")
    assert len(usable_rows(targets.labels("direction", bars, 1))) == USABLE
    assert len(planted) == rules


def test_volatility_and_volume_resemble_their_past_and_returns_do_not() -> None:
    bars, _ = series(1, rules=0)
    returns = np.diff(np.log(bars.close))

    def resemblance(values: np.ndarray) -> float:
        return float(np.corrcoef(values[1:], values[:-1])[0, 1])

    assert resemblance(np.abs(returns)) > 0.1
    assert resemblance(np.log(bars.volume)) > 0.4
    assert abs(resemblance(returns)) < NOISE / np.sqrt(len(returns))


def test_a_null_series_gives_no_feature_a_say() -> None:
    bars, _ = series(2, rules=0)
    y = targets.labels("direction", bars, 1)
    rows = usable_rows(y)
    values, y = FeatureTable.of(bars, "direction", 1, features.BASE).values[rows], y[rows]
    varied = values[:, np.ptp(values, axis=0) > 0.0]
    known = (varied - varied.mean(axis=0)) / varied.std(axis=0)
    correlations = known.T @ (y - y.mean()) / (len(y) * y.std())
    assert np.max(np.abs(correlations)) < NOISE / np.sqrt(len(y))


def test_the_same_seed_gives_the_same_series_and_another_one_another() -> None:
    (first, rules), (again, same), (other, _) = series(4), series(4), series(5)
    np.testing.assert_array_equal(first.close, again.close)
    np.testing.assert_array_equal(first.volume, again.volume)
    assert rules == same
    assert not np.array_equal(first.close, other.close)
