# ruff: noqa: N803, N806
"""Rules come at thresholds that people would have chosen, once each, in the simplest words."""

from __future__ import annotations

import math

import numpy as np

from ratchet.scoring.features import FEATURE_KIND, FEATURE_UNIT
from ratchet.scoring.rule import Condition, Rule, pattern_id
from services.trainer.mining.conditions import CROSSED_WITHIN, conditions
from services.trainer.mining.mine import MAX_OFFERED, MiningData, mine
from services.trainer.mining.refine import KEPT_Z_SHARE, Rows, rounded, strength
from services.trainer.mining.rounding import round_thresholds, roundness
from services.trainer.mining.search import DUPLICATE_JACCARD, SUPPORT, search

NAMES = tuple(f"level_{column}" for column in range(20))


def columns(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(50, 12, size=(n, len(NAMES)))


def labels(fired: np.ndarray, seed: int, effect: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(fired)) < 0.5 + effect * fired).astype(np.float64)


def mining_rows(X: np.ndarray, y: np.ndarray) -> MiningData:
    return MiningData(X, NAMES, y, 86_400 * np.arange(len(y) + 1))


def test_a_planted_rule_is_found_at_a_round_threshold() -> None:
    X = columns(3000, 1)
    rule = search(X, NAMES, labels(X[:, 3] > 64.8, 2), {})[0]
    assert (rule.features, rule.direction) == (("level_3",), 1)
    assert rule.conditions[0].threshold == round(rule.conditions[0].threshold)


def test_a_rounder_threshold_keeps_the_strength_that_it_must() -> None:
    X = columns(2000, 3)
    y = labels(X[:, 3] > 61.37, 4)
    rows = Rows(X, y, NAMES, {}, SUPPORT)
    exact = Rule((Condition("level_3", ">", 61.37),), 1)
    snapped = rounded(exact, rows, y)
    assert roundness(snapped.conditions[0]) < roundness(exact.conditions[0])
    assert strength(rows.fires(snapped), y, 1) >= KEPT_Z_SHARE * strength(rows.fires(exact), y, 1)


def test_fewer_digits_are_rounder_and_halves_rounder_than_others() -> None:
    values = (0.0, 70.0, 25.0, 42.0, 69.5, 69.37)
    order = [roundness(Condition("level_3", ">", value)) for value in values]
    assert order == sorted(order)
    assert order[0] < order[1] < order[2] < order[3] < order[5]


def test_round_is_what_is_displayed() -> None:
    times = next(name for name, unit in FEATURE_UNIT.items() if unit == "times")
    percent = next(name for name, unit in FEATURE_UNIT.items() if unit == "percent")
    coarse = next(values for values in round_thresholds(times, math.log(1.9), math.log(2.1)))
    assert np.allclose(np.exp(coarse), [2.0])
    assert next(values for values in round_thresholds(percent, 0.0195, 0.0205)) == [0.02]


def test_crosses_are_recent_or_not() -> None:
    since = np.minimum(np.arange(600.0) % 40, 60)
    found = conditions(since[:, None], ("since",), {"since": "cross"}, rarest=0.02)
    assert [(each.op, each.threshold) for each in found.conditions] == [("<=", bars) for bars in CROSSED_WITHIN]


def test_near_duplicates_are_carried_once_in_the_more_familiar_words() -> None:
    X = columns(3000, 5)
    X[:, 12] = X[:, 3] + np.random.default_rng(6).normal(0, 0.2, len(X))
    rules = search(X, NAMES, labels(X[:, 3] > 64, 7), {})
    assert rules[0].features == ("level_3",)
    assert not any("level_12" in rule.features for rule in rules)


def test_a_pair_that_adds_nothing_to_a_simpler_rule_is_not_carried() -> None:
    for seed in range(5):
        X = columns(3000, seed)
        rules = search(X, NAMES, labels(X[:, 3] > 64, seed + 10), {})
        above = [rule for rule in rules if any(str(each).startswith("level_3 >") for each in rule.conditions)]
        assert [rule.features for rule in above] == [("level_3",)]


def test_a_rule_in_force_is_not_carried_again_and_explains_its_labels() -> None:
    X = columns(3000, 8)
    y = labels(X[:, 3] > 64, 9)
    known = Rule((Condition("level_3", ">", 65.0),), 1)
    assert any(rule.features == ("level_3",) for rule in search(X, NAMES, y, {}))
    again = [rule for rule in search(X, NAMES, y, {}, known=[known]) if rule.direction == known.direction]
    assert not any("level_3" in rule.features for rule in again)


def test_what_nearly_is_a_rule_that_was_tested_is_not_carried_in_other_words() -> None:
    X = columns(3000, 8)
    y = labels(X[:, 3] > 64, 9)
    refuted = Rule((Condition("level_3", ">", 65.0),), 1)
    assert not any(
        rule.features == ("level_3",) and rule.direction == 1 for rule in search(X, NAMES, y, {}, settled=[refuted])
    )


def test_a_simpler_wording_of_a_pair_in_force_is_carried() -> None:
    X = columns(3000, 10)
    y = labels(X[:, 3] > 64, 11)
    pair = Rule((Condition("level_3", ">", 64.0), Condition("level_5", ">", 35.0)), 1)
    rules = search(X, NAMES, y, {}, known=[pair])
    assert rules[0].features == ("level_3",)


def test_a_condition_of_a_pair_in_force_that_says_less_is_not_carried() -> None:
    X = columns(3000, 10)
    narrow = Rule((Condition("level_3", ">", 60.0), Condition("level_5", ">", 52.0)), 1)
    assert not any(
        len(rule.conditions) == 1 and rule.features[0] in narrow.features
        for rule in search(X, NAMES, labels(narrow.fires(X, NAMES), 12, 0.4), {}, known=[narrow])
    )


def test_rules_of_other_series_are_carried_to_the_test_and_counted() -> None:
    X = columns(2000, 13)
    y = labels(X[:, 3] > 64, 14)
    guests = [Rule((Condition(name, ">", 60.0),), 0) for name in NAMES[8:16]]
    absent, rare = Rule((Condition("absent", ">", 60.0),), 0), Rule((Condition("level_7", ">", 90.0),), 0)
    seen = pattern_id(guests[0], "S", "range")
    own = {each.rule for each in mine(mining_rows(X, y), "S", "range", {}).rules}
    mined = mine(mining_rows(X, y), "S", "range", {}, tested_before=[seen], offered=[absent, rare, *guests])
    rules = [each.rule for each in mined.rules]
    assert rules[-MAX_OFFERED:] == guests[1 : 1 + MAX_OFFERED]
    assert set(rules) == own | set(guests[1 : 1 + MAX_OFFERED])


def test_what_is_carried_has_no_near_duplicate() -> None:
    X = columns(2000, 15)
    fires = [rule.fires(X, NAMES) for rule in search(X, NAMES, labels(X[:, 3] > 60, 16), FEATURE_KIND)]
    for index, one in enumerate(fires):
        assert all((one & other).sum() < DUPLICATE_JACCARD * (one | other).sum() for other in fires[:index])
