"""What an answer tells of a pattern beyond its state: its confidence over time, what each fact brought, its years."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.knowledge.v1 import knowledge_pb2
from services.knowledge.api.messages import CONFIDENCES, history, known_pattern
from services.knowledge.domain.counts import count
from services.knowledge.domain.decide import record_evidence, retire
from services.knowledge.domain.pattern import PatternRecord, PatternView, evolve, view
from tests.support.planted_rule import SNAPSHOTS, Truth, first_test, met_again, session

GOOD = Truth.drawn(1, bars=2000)
TURNED = replace(GOOD, outcomes=GOOD.outcomes.copy(), digest="d2")
TURNED.outcomes[900:] = Truth.drawn(1, bars=2000, hit_rate=0.3).outcomes[900:]

spans = st.tuples(st.integers(250, 1900), st.integers(1, 300)).map(lambda s: (s[0], min(1999, s[0] + s[1])))


def recorded(*told: knowledge_pb2.TestedPattern) -> PatternRecord:
    record = None
    for position, tested in enumerate(told, start=1):
        fact = record_evidence(record, tested, session(f"s{position}"), SNAPSHOTS)
        assert fact is not None
        record = evolve(record, fact, SNAPSHOTS, position)
    assert record is not None
    return record


def seen(record: PatternRecord, position: int | None = None, known_before: int | None = None) -> PatternView:
    found = view(record, position, known_before)
    assert found is not None
    return found


def test_the_confidence_after_each_fact_is_told_oldest_first() -> None:
    record = recorded(first_test(GOOD, (0, 800)), met_again(GOOD, (800, 900)), met_again(TURNED, (900, 1900)))
    told = list(known_pattern(seen(record)).confidences)
    assert told == [change.counts.confidence for change in record.changes]
    assert told[-1] < told[0]
    assert list(known_pattern(seen(record, 2)).confidences) == told[:2]


def test_of_a_long_history_the_newest_confidences_are_told() -> None:
    steps = [met_again(GOOD, (800 + number, 801 + number)) for number in range(CONFIDENCES + 5)]
    record = recorded(first_test(GOOD, (0, 800)), *steps)
    newest = [change.counts.confidence for change in record.changes[-CONFIDENCES:]]
    assert list(known_pattern(seen(record)).confidences) == newest
    everything = GOOD.time(2000)
    assert list(known_pattern(seen(record, None, everything)).confidences) == newest
    assert len(newest) == CONFIDENCES == 60


@settings(deadline=None, max_examples=30)
@given(story=st.lists(spans, min_size=1, max_size=6), at=st.integers(1, 7), before=st.integers(2, 2000))
def test_as_of_a_market_time_each_confidence_is_that_of_the_labels_known_by_then(
    story: list[tuple[int, int]], at: int, before: int
) -> None:
    record = recorded(first_test(GOOD, (0, 250)), *(met_again(TURNED, each) for each in story))
    found = seen(record, at, GOOD.time(before))
    expected = [
        count(record.evidence.known(change.version, GOOD.time(before)), True, 1).confidence for change in found.changes
    ]
    assert list(known_pattern(found).confidences) == pytest.approx(expected, abs=0.0)
    assert expected[-1] == found.counts.confidence
    assert [change.counts.confidence for change in history(found)] == expected


def test_a_change_tells_what_its_fact_brought_and_what_of_it_was_new() -> None:
    record = recorded(first_test(GOOD, (0, 800)), met_again(TURNED, (700, 850), (840, 900)), met_again(GOOD, (0, 9)))
    found, overlapping, repeated = history(seen(record))
    assert (found.bars, found.new_bars, found.dataset_digest) == (800, 800, "d1")
    assert (overlapping.bars, overlapping.new_bars, overlapping.dataset_digest) == (200, 100, "d2")
    assert overlapping.first_bar.seconds == GOOD.time(700)
    assert overlapping.last_bar.seconds == GOOD.time(899)
    assert (repeated.bars, repeated.new_bars) == (9, 0)
    assert sum(change.new_bars for change in (found, overlapping, repeated)) == len(record.evidence)


def test_a_persons_retirement_brought_no_bar_and_says_why() -> None:
    record = recorded(first_test(GOOD, (0, 800)))
    _, change = history(seen(evolve(record, retire(record, "a bad data file"), SNAPSHOTS, 2)))
    assert (change.reason, change.bars, change.new_bars, change.session_id) == ("a bad data file", 0, 0, "")
    assert not any(change.HasField(bar) for bar in ("first_bar", "last_bar"))
    assert not change.dataset_digest


def test_a_rule_that_the_gate_retired_says_why_at_that_change() -> None:
    record = recorded(first_test(GOOD, (0, 800)), met_again(TURNED, (900, 1900)))
    kept, retired = history(seen(record))
    assert (kept.reason, "is not above the line" in retired.reason) == ("", True)
    assert np.isclose(retired.counts.confidence, known_pattern(seen(record)).counts.confidence)
