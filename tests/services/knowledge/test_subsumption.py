"""Near-duplicates are one pattern with the simplest wording; a rule that a simpler one implies is not kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ratchet.patterns.evidence import EvidenceBars
from services.knowledge.domain.evidence import Evidence, unite
from services.knowledge.domain.subsumption import Claim, coverings

BARS = 800
RANDOM = np.random.default_rng(1)
FIRED = RANDOM.random(BARS) < 0.2
HIT = RANDOM.random(BARS) < 0.7

Flags = NDArray[np.bool_]


def claim(
    name: str,
    fired: Flags = FIRED,
    outcomes: Flags = HIT,
    *,
    conditions: int = 1,
    wording: str = "a > 1",
    label: bool = True,
    bars: tuple[int, int] = (0, BARS),
) -> Claim:
    times = np.arange(*bars, dtype=np.int64)
    here = slice(*bars)
    evidence = unite(Evidence.told([(1, EvidenceBars(times, times + 1, fired[here], outcomes[here]))]))[0]
    return Claim(name, conditions, wording, label, evidence)


def share(fired: Flags, part: float) -> Flags:
    """About that part of the fires, spread evenly."""
    kept = np.zeros(BARS, dtype=bool)
    at = np.flatnonzero(fired)
    kept[at[np.arange(len(at)) * part % 1.0 < part]] = True
    return kept


def test_of_two_that_fire_on_nearly_the_same_bars_the_simpler_stays() -> None:
    two = claim("a", share(FIRED, 0.9), conditions=2)
    assert coverings([two, claim("b")], 1) == {"a": "b"}
    assert coverings([claim("a", wording="longer > 1"), claim("b")], 1) == {"a": "b"}
    assert coverings([claim("a"), claim("b")], 1) == {"b": "a"}


def test_a_narrower_rule_that_does_no_better_is_covered() -> None:
    assert coverings([claim("wide"), claim("narrow", share(FIRED, 0.4), conditions=2)], 1) == {"narrow": "wide"}


def test_a_narrower_rule_that_is_shown_to_do_better_stands_for_itself() -> None:
    narrow = share(FIRED, 0.4)
    better = HIT | narrow
    wide = claim("wide", outcomes=better)
    assert coverings([wide, claim("narrow", narrow, better, conditions=2)], 1) == {}


def test_only_fewer_conditions_imply() -> None:
    assert coverings([claim("wide"), claim("narrow", share(FIRED, 0.4), wording="longer > 1")], 1) == {}


def test_a_narrower_rule_that_fired_too_seldom_to_compare_stands_for_itself() -> None:
    few = share(FIRED, 25 / np.count_nonzero(FIRED))
    assert coverings([claim("wide"), claim("narrow", few, conditions=2)], 1) == {}


def test_a_wider_rule_is_not_covered_by_a_narrower_one_that_is_simpler() -> None:
    assert coverings([claim("narrow", share(FIRED, 0.4)), claim("wide", conditions=2)], 1) == {}


def test_rules_of_opposite_directions_never_cover_each_other() -> None:
    assert coverings([claim("a"), claim("b", label=False)], 1) == {}


@pytest.mark.parametrize(("bars", "covered"), [((701, BARS), False), ((700, BARS), True)])
def test_a_hundred_common_bars_are_needed(bars: tuple[int, int], covered: bool) -> None:
    assert coverings([claim("a"), claim("b", bars=bars)], 1) == ({"b": "a"} if covered else {})


@pytest.mark.parametrize(("fires", "covered"), [(9, False), (10, True)])
def test_ten_common_fires_are_needed(fires: int, covered: bool) -> None:
    few = np.zeros(BARS, dtype=bool)
    few[np.flatnonzero(FIRED)[:fires]] = True
    assert coverings([claim("a", few), claim("b", few, wording="longer > 1")], 1) == ({"b": "a"} if covered else {})


def test_what_is_covered_covers_nothing() -> None:
    """`near` fires where `covered` does, nearly, and not where `simple` does: beside both it stands."""
    inside, outside = share(FIRED, 0.82), np.flatnonzero(~FIRED)
    beyond = share(inside, 0.94)
    beyond[outside[: inside.sum() * 13 // 100]] = True
    simple, covered = claim("a"), claim("b", inside, conditions=2)
    near = claim("c", beyond, conditions=2)
    assert coverings([covered, near], 1) == {"c": "b"}
    assert coverings([simple, covered, near], 1) == {"b": "a"}


def test_nothing_covers_nothing() -> None:
    assert coverings([], 1) == {}


@settings(deadline=None, max_examples=40)
@given(seeds=st.lists(st.integers(0, 5), min_size=1, max_size=7), data=st.data())
def test_covering_is_a_function_of_the_set_and_what_covers_stands(seeds: list[int], data: st.DataObject) -> None:
    claims = [
        claim(f"{number}", share(FIRED, 0.4 + seed / 10), conditions=1 + seed % 2, label=seed != 3)
        for number, seed in enumerate(seeds)
    ]
    found = coverings(claims, 1)
    assert coverings(data.draw(st.permutations(claims)), 1) == found
    assert not set(found) & set(found.values())
