# ruff: noqa: N803, N806
"""Mining finds planted rules, keeps next to nothing from noise, and never tests a bar or a rule twice."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.scoring.features import FEATURE_KIND, LIBRARY
from ratchet.scoring.rule import Condition, Rule, pattern_id
from services.trainer.mining.conditions import conditions
from services.trainer.mining.mine import MIN_TEST_ROWS, MiningData, mine
from services.trainer.mining.search import MAX_CANDIDATES, MIN_Z, SUPPORT, jaccard, search
from services.trainer.mining.test import Evidence, TestedRule, benjamini_hochberg, p_value

WIDE = tuple(name for name in LIBRARY if FEATURE_KIND[name] == "level")
NAMES = WIDE[:40]


def features(n: int, generator: np.random.Generator, memory: float = 0.9, columns: int = len(NAMES)) -> np.ndarray:
    """Persistent columns with a standard normal distribution."""
    X = generator.normal(size=(n, columns))
    for row in range(1, n):
        X[row] = memory * X[row - 1] + np.sqrt(1 - memory**2) * X[row]
    return X


def mining_rows(X: np.ndarray, y: np.ndarray, horizon: int = 1) -> MiningData:
    return MiningData(X, NAMES, y, 86_400 * np.arange(len(y) + horizon))


def kept(found: TestedRule) -> bool:
    """The rule for keeping: it passes, and its hit rate is clearly above the base rate and above 60 %."""
    hits = found.evidence.labels == bool(found.rule.direction)
    rate = (hits[found.evidence.fired].sum() + 1) / (found.evidence.fired.sum() + 2)
    return found.passes and rate > max(0.6, hits.mean() + 0.05)


def planted(n: int, generator: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    X = features(n, generator)
    one = X[:, 3] > 1.2
    two = (X[:, 10] > 0.5) & (X[:, 20] < -0.4)
    p = 0.5 + effect * one - effect * (two & ~one)
    return X, (generator.random(n) < p).astype(np.float64), [one, two]


def test_planted_rules_are_found() -> None:
    generator = np.random.default_rng(11)
    found = np.zeros(2)
    for _ in range(5):
        X, y, truths = planted(3000, generator, 0.3)
        rules = [each.rule for each in mine(mining_rows(X, y), "S", "range", FEATURE_KIND).rules if kept(each)]
        for index, truth in enumerate(truths):
            fires = [rule.fires(X, NAMES) for rule in rules]
            found[index] += any((each & truth).sum() > 0.5 * (each | truth).sum() for each in fires)
    assert found[0] >= 4
    assert found[1] >= 2


@pytest.mark.parametrize("persistent", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_noise_keeps_nothing_in_nearly_all_runs(persistent: bool) -> None:
    generator = np.random.default_rng(7)
    runs = 40
    keeping = 0
    for _ in range(runs):
        X = features(1500, generator)
        noise = features(1500, generator)[:, 0] if persistent else generator.normal(size=1500)
        mined = mine(mining_rows(X, (noise > 0).astype(np.float64)), "S", "range", FEATURE_KIND)
        keeping += any(kept(each) for each in mined.rules)
    assert keeping <= (6 if persistent else 3)


def test_what_is_carried_is_bounded_supported_and_no_near_duplicate() -> None:
    X, y, _ = planted(2000, np.random.default_rng(1), 0.2)
    rules = search(X, NAMES, y, FEATURE_KIND)
    assert 1 <= len(rules) <= MAX_CANDIDATES
    fires = [rule.fires(X, NAMES) for rule in rules]
    assert all(SUPPORT[0] <= each.mean() <= SUPPORT[1] for each in fires)
    for index, first in enumerate(fires):
        for second in fires[index + 1 :]:
            assert (first & second).sum() <= 0.7 * (first | second).sum()


def test_the_search_is_deterministic_and_ignores_the_test_part() -> None:
    X, y, _ = planted(1200, np.random.default_rng(1), 0.2)
    mined = mine(mining_rows(X, y), "S", "range", FEATURE_KIND)
    X[mined.searched + 1 :] = 0.0
    again = mine(mining_rows(X, y), "S", "range", FEATURE_KIND)
    assert [each.rule for each in mined.rules] == [each.rule for each in again.rules]
    assert mined.searched + 1 + mined.test_rows == 1200


def test_a_rule_that_was_tested_is_not_tested_again() -> None:
    X, y, _ = planted(2000, np.random.default_rng(1), 0.3)
    first = mine(mining_rows(X, y), "S", "range", FEATURE_KIND)
    ids = [pattern_id(each.rule, "S", "range") for each in first.rules]
    second = mine(mining_rows(X, y), "S", "range", FEATURE_KIND, tested_before=ids)
    assert not {pattern_id(each.rule, "S", "range") for each in second.rules} & set(ids)


def test_bars_serve_one_test_and_too_few_fresh_ones_wait() -> None:
    X, y, _ = planted(1600, np.random.default_rng(1), 0.3)
    first = mine(mining_rows(X[:1200], y[:1200]), "S", "range", FEATURE_KIND)
    assert first.mined_through == 86_400 * 1199
    later = mine(mining_rows(X, y), "S", "range", FEATURE_KIND, mined_through=first.mined_through)
    assert later.test_rows == 400
    assert all(each.evidence.times[0] > first.mined_through for each in later.rules)
    soon = mine(mining_rows(X[:1449], y[:1449]), "S", "range", FEATURE_KIND, mined_through=first.mined_through)
    assert (soon.rules, soon.mined_through) == ((), first.mined_through)
    assert (soon.skipped, soon.test_rows) == ("too_few_rows", MIN_TEST_ROWS - 1)


def test_the_search_part_is_purged_by_the_horizon() -> None:
    X, y, _ = planted(1200, np.random.default_rng(1), 0.3)
    mined = mine(mining_rows(X, y, horizon=5), "S", "range", FEATURE_KIND)
    evidence = mined.rules[0].evidence
    assert mined.searched == 775
    assert (len(evidence), len(evidence.times), evidence.horizon) == (420, 425, 5)
    assert evidence.end == 86_400 * 1204


def test_a_wide_search_carries_no_more_than_its_limit() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(3000, 250))
    names = tuple(f"feature_{column}" for column in range(250))
    y = (generator.random(3000) < 0.5).astype(np.float64)
    rules = search(X, names, y, {})
    assert len(rules) <= MAX_CANDIDATES


def test_labels_of_one_class_and_features_without_values_give_no_rule() -> None:
    X = features(400, np.random.default_rng(0))
    assert search(X, NAMES, np.ones(400), FEATURE_KIND) == ()
    y = (np.arange(400) % 2).astype(np.float64)
    assert search(np.full_like(X, np.nan), NAMES, y, FEATURE_KIND) == ()
    assert search(np.ones_like(X), NAMES, y, FEATURE_KIND) == ()


def test_counted_features_are_compared_by_value() -> None:
    weekday = np.arange(500.0) % 5
    candle = np.where(np.arange(500) % 10 == 0, 100.0, 0.0)
    found = conditions(
        np.column_stack([weekday, candle]), ("day", "cdl"), {"day": "calendar", "cdl": "candle"}, rarest=0.03
    )
    assert [str(condition) for condition in found.conditions] == [*(f"day is {day}" for day in range(5)), "cdl is 100"]


def test_benjamini_hochberg_by_hand() -> None:
    nothing = [0.5, 0.6, 0.7, 0.8, 0.9]
    assert benjamini_hochberg([0.001, 0.03, 0.025, 0.5, 0.2, *nothing]) == (True, True, True, *[False] * 7)
    assert benjamini_hochberg([0.2, 0.3]) == (False, False)


def test_fewer_than_ten_hypotheses_are_judged_as_ten() -> None:
    assert benjamini_hochberg([0.0099]) == (True,)
    assert benjamini_hochberg([0.0101]) == (False,)
    assert benjamini_hochberg([0.02, 0.019]) == (True, True)


def test_nothing_to_judge_is_nothing_rejected() -> None:
    assert benjamini_hochberg([]) == ()


def test_p_is_small_for_hits_large_for_misses_and_one_without_fires() -> None:
    fired = np.arange(500) % 5 == 0
    labels = np.where(fired, np.arange(500) % 4 != 0, np.arange(500) % 2 == 0).astype(bool)
    evidence = Evidence(np.arange(501), fired, labels)
    assert p_value(evidence, 1) < 0.001
    assert p_value(evidence, 0) > 0.999
    assert p_value(Evidence(np.arange(501), np.zeros(500, dtype=bool), labels), 1) == 1.0


def test_p_is_uniform_enough_where_the_target_is_persistent() -> None:
    generator = np.random.default_rng(3)
    rule = Rule((Condition(NAMES[0], ">", 1.0),), 1)
    small = 0
    for _ in range(200):
        X = features(500, generator)[:, :1]
        y = features(500, generator)[:, 0] > 0
        small += p_value(Evidence(np.arange(501), rule.fires(X, NAMES[:1]), y), 1) < 0.05
    assert small / 200 < 0.14


def test_a_pair_whose_conditions_say_nothing_alone_is_found() -> None:
    """Where the second condition fails, the label turns."""
    generator = np.random.default_rng(2)
    found = 0
    for _ in range(5):
        X = features(2000, generator)
        first, second = X[:, 10] > 0.5, X[:, 20] < -0.4
        other = second.mean() / (1 - second.mean())
        p = 0.5 + 0.35 * (first & second) - 0.35 * other * (first & ~second)
        y = (generator.random(2000) < p).astype(np.float64)
        fires = [rule.fires(X, NAMES) for rule in search(X, NAMES, y, FEATURE_KIND)]
        found += any(jaccard(each, first & second) >= 0.5 for each in fires)
    assert found >= 4


def test_of_candidates_about_as_strong_the_preferred_is_carried() -> None:
    X, y, _ = planted(1500, np.random.default_rng(1), 0.3)
    X[:, 30] = X[:, 3] + np.random.default_rng(2).normal(0, 0.02, len(X))
    plain = search(X, NAMES, y, FEATURE_KIND)
    preferring = [search(X, NAMES, y, FEATURE_KIND, preferred=[NAMES[column]]) for column in (3, 30)]
    assert NAMES[3] in preferring[0][0].features
    assert NAMES[30] in preferring[1][0].features
    assert plain in preferring


def test_a_preference_never_carries_what_is_too_weak() -> None:
    X = features(1000, np.random.default_rng(3))
    y = (np.random.default_rng(4).random(1000) < 0.5).astype(np.float64)
    for preferred in ((), NAMES[:9]):
        for rule in search(X, NAMES, y, FEATURE_KIND, preferred=preferred):
            fires = rule.fires(X, NAMES)
            share = fires.mean()
            excess = (y[fires].mean() - y.mean()) * np.sqrt(fires.sum() / (1 - share)) / y.std()
            assert abs(excess) >= MIN_Z[1]


def test_a_preference_that_names_no_column_changes_nothing() -> None:
    X, y, _ = planted(1200, np.random.default_rng(1), 0.2)
    assert search(X, NAMES, y, FEATURE_KIND, preferred=["not_there"]) == search(X, NAMES, y, FEATURE_KIND)
    mined = [mine(mining_rows(X, y), "S", "range", FEATURE_KIND, preferred=each) for each in ((), ["not_there"])]
    assert [each.rule for each in mined[0].rules] == [each.rule for each in mined[1].rules]


def test_a_preference_reaches_the_search_and_leaves_the_test_as_it_is() -> None:
    X, y, _ = planted(1200, np.random.default_rng(1), 0.2)
    rows = mining_rows(X, y)
    mined = mine(rows, "S", "range", FEATURE_KIND, preferred=NAMES[20:28])
    found = search(X[: mined.searched], NAMES, y[: mined.searched], FEATURE_KIND, preferred=NAMES[20:28])
    assert tuple(each.rule for each in mined.rules) == found
    p = [p_value(each.evidence, each.rule.direction) for each in mined.rules]
    assert [each.p for each in mined.rules] == p
    assert tuple(each.passes for each in mined.rules) == benjamini_hochberg(p)
