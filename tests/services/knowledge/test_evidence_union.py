"""Evidence is a set of bars: how often, and in which order, it is told does not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.knowledge.domain.counts import count
from services.knowledge.domain.evidence import Evidence, merge
from tests.support.planted_rule import DAY, Truth

BARS = 300
Range = tuple[int, int]

ranges = st.tuples(st.integers(0, BARS - 2), st.integers(1, 80)).map(
    lambda found: (found[0], min(BARS - 1, found[0] + found[1]))
)
stories = st.lists(ranges, min_size=1, max_size=8)


def told(truth: Truth, story: list[Range]) -> Evidence:
    union, conflicting = merge(Evidence.concatenated(enumerate((truth.bars(each) for each in story), start=1)))
    assert not len(conflicting)
    return union


def columns(evidence: Evidence) -> list[list[int]]:
    return [column.tolist() for column in (evidence.times, evidence.label_times, evidence.fired, evidence.outcomes)]


@given(story=stories, data=st.data(), seed=st.integers(0, 50))
def test_order_and_repetition_do_not_matter(story: list[Range], data: st.DataObject, seed: int) -> None:
    truth = Truth.drawn(seed, BARS)
    repeated = data.draw(st.lists(st.sampled_from(story), max_size=4))
    retold = data.draw(st.permutations(story + repeated))
    once, again = told(truth, story), told(truth, list(retold))
    assert columns(once) == columns(again)
    assert count(once, True, 1) == count(again, True, 1)


@given(story=stories)
def test_the_union_holds_each_bar_once_and_no_other(story: list[Range]) -> None:
    truth = Truth.drawn(1, BARS)
    bars = sorted({bar for start, stop in story for bar in range(start, stop)})
    union = told(truth, story)
    assert union.times.tolist() == [truth.time(bar) for bar in bars]
    assert union.fired.tolist() == truth.fired[bars].tolist()
    assert union.outcomes.tolist() == truth.outcomes[bars].tolist()


@given(story=stories, version=st.integers(1, 8))
def test_what_was_known_after_a_fact_is_the_union_up_to_it(story: list[Range], version: int) -> None:
    truth = Truth.drawn(2, BARS)
    assert columns(told(truth, story).known(version)) == columns(told(truth, story[:version]))


def test_only_labels_known_before_a_time_count() -> None:
    truth = Truth.drawn(3, BARS, horizon=5)
    union = told(truth, [(0, 100)])
    known = union.known(1, truth.time(50))
    assert known.times.tolist() == [truth.time(bar) for bar in range(45)]
    assert known.label_times.max() == truth.time(49)


def test_where_two_datasets_disagree_the_first_stays_and_the_bars_are_named() -> None:
    first = Truth.drawn(4, BARS)
    corrected = first.outcomes.copy()
    corrected[[20, 30]] ^= True
    other = replace(first, outcomes=corrected, digest="d2")
    union, conflicting = merge(Evidence.concatenated([(1, first.bars((0, 50))), (2, other.bars((10, 60)))]))
    assert conflicting.times.tolist() == [first.time(20), first.time(30)]
    assert conflicting.source.tolist() == [2, 2]
    assert union.outcomes.tolist() == np.concatenate([first.outcomes[:50], corrected[50:60]]).tolist()
    assert union.known(1).times.tolist() == [first.time(bar) for bar in range(50)]
    assert union.after_version(1).times.tolist() == [first.time(bar) for bar in range(50, 60)]
    assert np.all(np.diff(union.times) == DAY)
