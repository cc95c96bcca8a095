"""The fold of the facts into what the service knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.events.v1 import facts_pb2, model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from services.knowledge.domain.decide import record_evidence, retire
from services.knowledge.domain.pattern import evolve
from services.knowledge.domain.pattern_views import views
from services.knowledge.domain.subsumption_updates import with_subsumption_updates
from services.knowledge.handlers.application import evidence_facts
from services.knowledge.projection.state import KnowledgeState, fold
from services.platform.facts import Fact
from tests.support.planted_rule import (
    FOREST,
    LOGISTIC,
    ROWS,
    SERIES,
    SNAPSHOTS,
    TASK,
    Truth,
    first_test,
    met_again,
    narrowed,
    pattern,
    session,
)

TRUTH = Truth.drawn(1)
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)


def story() -> list[tuple[int, Fact]]:
    """Positions leave room for facts of other streams."""
    first = record_evidence(None, first_test(TRUTH, (0, 500)), session("s1"), SNAPSHOTS)
    assert first is not None
    second = record_evidence(
        evolve(None, first, SNAPSHOTS), met_again(TRUTH, (500, 900)), session("s2", lineage=LOGISTIC), SNAPSHOTS
    )
    assert second is not None
    ranked = facts_pb2.FeaturesRanked(
        lineage=LOGISTIC, session_id="s2", features=[model_pb2.RankedFeature(name="rsi_14", rank=1)]
    )
    return [(4, first), (9, second), (10, Fact(f"features/{LOGISTIC}", 1, ranked))]


def long_story() -> list[tuple[int, Fact]]:
    """Three rules, of which one is another's twin, in eleven sessions; a person retires one on the way."""
    often = np.arange(len(TRUTH.fired)) % 20 > 0
    rules: list[tuple[pattern_pb2.Pattern, Truth]] = [
        (narrowed("twin"), replace(TRUTH, fired=TRUTH.fired & often)),
        (pattern("simple"), TRUTH),
        (pattern("other", 30.0), replace(TRUTH, fired=~TRUTH.fired)),
    ]
    state = KnowledgeState(snapshots=SNAPSHOTS)
    told: list[tuple[int, Fact]] = []
    for number in range(12):
        definition, truth = rules[number % 3]
        start, stop = (0, 400) if number < 3 else (350 + 50 * number, 500 + 50 * number)
        piece = knowledge_pb2.TestedPattern(pattern=definition, evidence=truth.evidence((start, stop)))
        if number < 3:
            piece.p_value, piece.passed = 0.001, True
        facts = evidence_facts(session(f"s{number}", piece), state)
        if number == 6:
            wrong = retire(state.patterns["simple"], "the data was wrong")
            facts = with_subsumption_updates(state.scope(SERIES, TASK), [wrong], SNAPSHOTS, "r1")
        told += enumerate(facts, len(told) + 1)
        state = fold(KnowledgeState(snapshots=SNAPSHOTS), told, len(told))
    return told


LONG_STORY = long_story()


def answers(state: KnowledgeState, position: int | None, before: int | None) -> list[object]:
    found = views(state.scope(SERIES, TASK), position, before)
    return [
        (each.record.id, each.state, each.covered_by, each.counts, each.changes, each.conflicts, each.validations)
        for each in found
    ]


@given(cuts=st.sets(st.integers(1, len(LONG_STORY) - 1)))
@settings(deadline=None, max_examples=25)
def test_batches_of_any_size_give_the_same_answers(cuts: set[int]) -> None:
    """Those of a restart too, which reads the facts in batches of its own."""
    end = len(LONG_STORY)
    at_once, parts = fold(KnowledgeState(snapshots=SNAPSHOTS), LONG_STORY, end), KnowledgeState(snapshots=SNAPSHOTS)
    for start, stop in pairwise(sorted({0, end} | cuts)):
        parts = fold(parts, LONG_STORY[start:stop], stop)
        answers(parts, None, TRUTH.time(500))
    assert (parts.position, parts.sessions, parts.rankings) == (at_once.position, at_once.sessions, at_once.rankings)
    for position in (None, 3, end - 4):
        for before in (None, TRUTH.time(450)):
            assert answers(parts, position, before) == answers(at_once, position, before)


def test_the_past_of_a_long_log_is_a_shorter_log() -> None:
    now = fold(KnowledgeState(snapshots=SNAPSHOTS), LONG_STORY, len(LONG_STORY))
    for position in range(1, len(LONG_STORY)):
        then = fold(KnowledgeState(snapshots=SNAPSHOTS), LONG_STORY[:position], position)
        for before in (None, TRUTH.time(450)):
            assert answers(now, position, before) == answers(then, None, before)


def test_evidence_worked_out_early_does_not_hide_what_comes_later() -> None:
    state = fold(KnowledgeState(snapshots=SNAPSHOTS), story()[:1], 4)
    assert len(state.patterns["aa11"].evidence) == 500
    assert len(fold(state, story()[1:], 12).patterns["aa11"].evidence) == 900


def test_a_scope_holds_the_patterns_of_one_series_and_task() -> None:
    state = fold(KnowledgeState(snapshots=SNAPSHOTS), LONG_STORY, len(LONG_STORY))
    assert [record.id for record in state.scope(SERIES, TASK)] == ["twin", "simple", "other"]
    assert state.scope(SERIES, "volatility") == []


def test_a_moment_is_the_position_of_the_last_fact_by_then() -> None:
    timed = [(at, replace(fact, recorded_at=BEGAN + timedelta(hours=at))) for at, fact in story()]
    state = fold(KnowledgeState(snapshots=SNAPSHOTS), timed, 12)
    moments = [BEGAN + timedelta(hours=hours) for hours in (3.9, 4, 8.9, 9, 9.5, 10, 99)]
    assert [state.position_at(moment) for moment in moments] == [0, 4, 4, 9, 9, 10, 10]


def test_evidence_that_can_not_be_read_brings_no_bar() -> None:
    """Others may append to the log too."""
    first, second, _ = story()
    broken = facts_pb2.PatternValidated()
    broken.MergeFrom(second[1].message)  # type: ignore[arg-type]
    broken.evidence.spans[0].first_row = ROWS
    state = fold(KnowledgeState(snapshots=SNAPSHOTS), [first, (9, replace(second[1], message=broken))], 9)
    record = state.patterns["aa11"]
    assert (record.version, len(record.evidence), record.bars_of(2).times.tolist()) == (2, 500, [])
    assert record.bars_of(1).times[0] == TRUTH.time(0)
    assert (record.dataset_of(1), record.dataset_of(2)) == ("d1", "d1")


def test_a_session_is_traced_to_its_lineage_patterns_and_last_position() -> None:
    traces = fold(KnowledgeState(snapshots=SNAPSHOTS), story(), 10).sessions
    assert (traces["s1"].lineage, traces["s1"].pattern_ids, traces["s1"].position) == (FOREST, ("aa11",), 4)
    assert (traces["s2"].lineage, traces["s2"].pattern_ids, traces["s2"].position) == (LOGISTIC, ("aa11",), 10)


def test_contents_do_not_change_when_more_is_folded() -> None:
    before = fold(KnowledgeState(snapshots=SNAPSHOTS), story()[:1], 4)
    fold(before, story()[1:], 10)
    assert (before.position, before.patterns["aa11"].version, dict(before.rankings)) == (4, 1, {})


def test_a_fact_that_can_not_follow_is_named_and_hides_nothing_else() -> None:
    orphan = facts_pb2.PatternValidated(pattern_id="zz", session_id="s3", lineage=FOREST)
    stranger = facts_pb2.PatternDiscovered(pattern=first_test(TRUTH, (0, 10)).pattern)
    broken = [(1, Fact("pattern/zz", 1, orphan)), (2, Fact("pattern/yy", 1, stranger))]
    state = fold(KnowledgeState(snapshots=SNAPSHOTS), [*broken, *story()], 10)
    assert [position for position, _ in state.unreadable] == [1, 2]
    assert list(state.patterns) == ["aa11"]
