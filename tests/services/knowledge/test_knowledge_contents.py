"""The fold of the facts into what the service knows."""

from __future__ import annotations

from truth import FOREST, LOGISTIC, Truth, first_test, met_again

from ratchet.events.v1 import facts_pb2, model_pb2
from services.kernel.facts import Fact
from services.knowledge.contents import Contents, fold
from services.knowledge.domain.decide import record_evidence
from services.knowledge.domain.pattern import evolve, project

TRUTH = Truth.drawn(1)


def story() -> list[tuple[int, Fact]]:
    """Positions leave room for facts of other streams."""
    first = record_evidence(None, first_test(TRUTH, (0, 500)), "s1", FOREST, 20)
    assert first is not None
    second = record_evidence(evolve(None, first), met_again(TRUTH, (500, 900)), "s2", LOGISTIC, 0)
    assert second is not None
    ranked = facts_pb2.FeaturesRanked(
        lineage=LOGISTIC, session_id="s2", features=[model_pb2.RankedFeature(name="rsi_14", rank=1)]
    )
    return [(4, first), (9, second), (10, Fact(f"features/{LOGISTIC}", 1, ranked))]


def test_batches_of_any_size_give_the_same_contents() -> None:
    at_once = fold(Contents(), story(), 12)
    one_by_one = Contents()
    for position, fact in story():
        one_by_one = fold(one_by_one, [(position, fact)], position)
    one_by_one = fold(one_by_one, [], 12)
    assert one_by_one.position == at_once.position == 12
    assert one_by_one.sessions == at_once.sessions
    assert one_by_one.rankings == at_once.rankings
    assert one_by_one.patterns["aa11"].changes == at_once.patterns["aa11"].changes


def test_the_fold_and_the_repositorys_projector_agree() -> None:
    record = project(None, [fact for _, fact in story()[:2]])
    assert record is not None
    folded = fold(Contents(), story(), 10).patterns["aa11"]
    assert (record.version, record.state, record.counts) == (folded.version, folded.state, folded.counts)


def test_a_session_is_traced_to_its_lineage_patterns_and_last_position() -> None:
    traces = fold(Contents(), story(), 10).sessions
    assert (traces["s1"].lineage, traces["s1"].pattern_ids, traces["s1"].position) == (FOREST, ("aa11",), 4)
    assert (traces["s2"].lineage, traces["s2"].pattern_ids, traces["s2"].position) == (LOGISTIC, ("aa11",), 10)


def test_contents_do_not_change_when_more_is_folded() -> None:
    before = fold(Contents(), story()[:1], 4)
    fold(before, story()[1:], 10)
    assert (before.position, before.patterns["aa11"].version, dict(before.rankings)) == (4, 1, {})


def test_a_fact_that_can_not_follow_is_named_and_hides_nothing_else() -> None:
    orphan = facts_pb2.PatternValidated(pattern_id="zz", session_id="s3", lineage=FOREST)
    stranger = facts_pb2.PatternDiscovered(pattern=first_test(TRUTH, (0, 10)).pattern)
    broken = [(1, Fact("pattern/zz", 1, orphan)), (2, Fact("pattern/yy", 1, stranger))]
    contents = fold(Contents(), [*broken, *story()], 10)
    assert [position for position, _ in contents.unreadable] == [1, 2]
    assert list(contents.patterns) == ["aa11"]
