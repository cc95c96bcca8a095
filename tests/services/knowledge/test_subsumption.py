"""Near-duplicates are one pattern with the simplest wording; a rule that a simpler one implies is not kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ratchet.patterns.evidence import EvidenceBars
from services.knowledge.domain.evidence import Evidence, merge
from services.knowledge.domain.subsumption import ActivePattern, find_subsumed

BARS = 800
RANDOM = np.random.default_rng(1)
FIRED = RANDOM.random(BARS) < 0.2
HIT = RANDOM.random(BARS) < 0.7

Flags = NDArray[np.bool_]


def pattern(
    name: str,
    fired: Flags = FIRED,
    outcomes: Flags = HIT,
    *,
    conditions: int = 1,
    wording: str = "a > 1",
    label: bool = True,
    bars: tuple[int, int] = (0, BARS),
) -> ActivePattern:
    times = np.arange(*bars, dtype=np.int64)
    here = slice(*bars)
    evidence = merge(Evidence.concatenated([(1, EvidenceBars(times, times + 1, fired[here], outcomes[here]))]))[0]
    return ActivePattern(name, conditions, wording, label, evidence)


def share(fired: Flags, part: float) -> Flags:
    """About that part of the fires, spread evenly."""
    kept = np.zeros(BARS, dtype=bool)
    at = np.flatnonzero(fired)
    kept[at[np.arange(len(at)) * part % 1.0 < part]] = True
    return kept


def test_of_two_that_fire_on_nearly_the_same_bars_the_simpler_stays() -> None:
    two = pattern("a", share(FIRED, 0.9), conditions=2)
    assert find_subsumed([two, pattern("b")], 1) == {"a": "b"}
    assert find_subsumed([pattern("a", wording="longer > 1"), pattern("b")], 1) == {"a": "b"}
    assert find_subsumed([pattern("a"), pattern("b")], 1) == {"b": "a"}


def test_a_narrower_rule_that_does_no_better_is_covered() -> None:
    assert find_subsumed([pattern("wide"), pattern("narrow", share(FIRED, 0.4), conditions=2)], 1) == {"narrow": "wide"}


def test_a_narrower_rule_that_is_shown_to_do_better_stands_for_itself() -> None:
    narrow = share(FIRED, 0.4)
    better = HIT | narrow
    wide = pattern("wide", outcomes=better)
    assert find_subsumed([wide, pattern("narrow", narrow, better, conditions=2)], 1) == {}


def test_only_fewer_conditions_imply() -> None:
    assert find_subsumed([pattern("wide"), pattern("narrow", share(FIRED, 0.4), wording="longer > 1")], 1) == {}


def test_a_narrower_rule_that_fired_too_seldom_to_compare_stands_for_itself() -> None:
    few = share(FIRED, 25 / np.count_nonzero(FIRED))
    assert find_subsumed([pattern("wide"), pattern("narrow", few, conditions=2)], 1) == {}


def test_a_wider_rule_is_not_covered_by_a_narrower_one_that_is_simpler() -> None:
    assert find_subsumed([pattern("narrow", share(FIRED, 0.4)), pattern("wide", conditions=2)], 1) == {}


def test_rules_of_opposite_directions_never_cover_each_other() -> None:
    assert find_subsumed([pattern("a"), pattern("b", label=False)], 1) == {}


@pytest.mark.parametrize(("bars", "covered"), [((701, BARS), False), ((700, BARS), True)])
def test_a_hundred_common_bars_are_needed(bars: tuple[int, int], covered: bool) -> None:
    assert find_subsumed([pattern("a"), pattern("b", bars=bars)], 1) == ({"b": "a"} if covered else {})


@pytest.mark.parametrize(("fires", "covered"), [(9, False), (10, True)])
def test_ten_common_fires_are_needed(fires: int, covered: bool) -> None:
    few = np.zeros(BARS, dtype=bool)
    few[np.flatnonzero(FIRED)[:fires]] = True
    assert find_subsumed([pattern("a", few), pattern("b", few, wording="longer > 1")], 1) == (
        {"b": "a"} if covered else {}
    )


def test_what_is_covered_covers_nothing() -> None:
    """`near` fires where `subsumed` does, nearly, and not where `simple` does: beside both it stands."""
    inside, outside = share(FIRED, 0.82), np.flatnonzero(~FIRED)
    beyond = share(inside, 0.94)
    beyond[outside[: inside.sum() * 13 // 100]] = True
    simple, subsumed = pattern("a"), pattern("b", inside, conditions=2)
    near = pattern("c", beyond, conditions=2)
    assert find_subsumed([subsumed, near], 1) == {"c": "b"}
    assert find_subsumed([simple, subsumed, near], 1) == {"b": "a"}


def test_nothing_covers_nothing() -> None:
    assert find_subsumed([], 1) == {}


@settings(deadline=None, max_examples=40)
@given(seeds=st.lists(st.integers(0, 5), min_size=1, max_size=7), data=st.data())
def test_covering_is_a_function_of_the_set_and_what_covers_stands(seeds: list[int], data: st.DataObject) -> None:
    patterns = [
        pattern(f"{number}", share(FIRED, 0.4 + seed / 10), conditions=1 + seed % 2, label=seed != 3)
        for number, seed in enumerate(seeds)
    ]
    found = find_subsumed(patterns, 1)
    assert find_subsumed(data.draw(st.permutations(patterns)), 1) == found
    assert not set(found) & set(found.values())
