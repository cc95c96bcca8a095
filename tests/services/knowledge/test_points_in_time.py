"""Log time and market time, over gRPC: every read answers about the past, along both axes and together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import InvalidInput, NotFound
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as pb
from tests.support.knowledge_services import Knowing, World
from tests.support.planted_rule import FOREST, LOGISTIC, SERIES, TASK, Truth, first_test, met_again, session

TRUTH = Truth.drawn(1, bars=2000)
TURNED = Truth.drawn(1, bars=2000, hit_rate=0.3)

Read = Callable[..., Any]
READS: dict[str, tuple[str, Message]] = {
    "knowledge": ("GetKnowledge", pb.GetKnowledgeRequest(series=SERIES, task=TASK, include_all=True)),
    "patterns": ("ListPatterns", pb.ListPatternsRequest()),
    "pattern": ("GetPattern", pb.GetPatternRequest(pattern_id="aa11")),
    "success": ("ListSuccessRates", pb.ListSuccessRatesRequest()),
    "features": ("ListFeatureHistory", pb.ListFeatureHistoryRequest(lineage=FOREST)),
}
SEEN_BY_MARKET_TIME = ("knowledge", "patterns", "pattern")
SEEN_BY_SESSIONS = ("knowledge", "features")


def ask(knowing: Knowing, name: str, **asked: Any) -> Any:
    method, base = READS[name]
    request = type(base)(**asked)
    request.MergeFrom(base)
    return knowing.ask(getattr(knowing.stub, method), request)


def told(knowing: Knowing) -> tuple[pb.RecordEvidenceResponse, pb.RecordEvidenceResponse]:
    """Two sessions: one that found the rule, one that met it again when it had stopped to hold."""
    first = knowing.ask(knowing.stub.RecordEvidence, session("s1", first_test(TRUTH, (0, 800))))
    second = knowing.ask(knowing.stub.RecordEvidence, session("s2", met_again(TURNED, (800, 1900)), lineage=FOREST))
    return first, second


def market_time(bar: int) -> Timestamp:
    return Timestamp(seconds=TRUTH.time(bar))


@pytest.mark.parametrize("name", READS)
def test_a_moment_and_the_position_of_its_last_fact_give_the_same_answer(knowing: Knowing, name: str) -> None:
    before = ask(knowing, name) if name != "pattern" else None
    first, second = told(knowing)
    found_at = first.patterns[0].found_at
    then, now = ask(knowing, name, as_of_time=found_at), ask(knowing, name)
    assert (then.position, now.position) == (first.position, second.position)
    assert then == ask(knowing, name, as_of_position=first.position)
    assert then not in (now, before)


@pytest.mark.parametrize("name", READS)
def test_the_past_stays_what_it_was_whatever_is_recorded_later(knowing: Knowing, name: str) -> None:
    first = knowing.ask(knowing.stub.RecordEvidence, session("s1", first_test(TRUTH, (0, 800))))
    asked: dict[str, Any] = {"as_of_position": first.position}
    if name in SEEN_BY_MARKET_TIME:
        asked["known_before"] = market_time(802)
    then = ask(knowing, name, **asked)
    # A second session that had found the same rule beside the first one, and one that met it again.
    knowing.ask(knowing.stub.RecordEvidence, session("s2", first_test(TRUTH, (0, 900)), lineage=LOGISTIC))
    knowing.ask(knowing.stub.RecordEvidence, session("s3", met_again(TURNED, (900, 1900))))
    assert ask(knowing, name, **asked) == then


def test_before_the_first_fact_nothing_was_known(knowing: Knowing) -> None:
    first, _ = told(knowing)
    early = Timestamp(seconds=first.patterns[0].found_at.seconds - 3600)
    answers = {name: ask(knowing, name, as_of_time=early) for name in READS if name != "pattern"}
    assert {answer.position for answer in answers.values()} == {0}
    assert not answers["knowledge"].patterns
    assert not answers["knowledge"].tested_ids
    assert not answers["knowledge"].HasField("tested_through")
    assert not [*answers["patterns"].patterns, *answers["success"].rates, *answers["features"].rankings]
    with pytest.raises(NotFound, match="begins with 'aa11' at log position 0"):
        ask(knowing, "pattern", as_of_time=early)


@pytest.mark.parametrize("name", READS)
def test_one_of_two_points_in_log_time_is_to_be_left_out(knowing: Knowing, name: str) -> None:
    with pytest.raises(InvalidInput, match="leave one of them out") as caught:
        ask(knowing, name, as_of_position=1, as_of_time=Timestamp(seconds=1))
    assert set(caught.value.fields) == {"as_of_position", "as_of_time"}


@pytest.mark.parametrize("name", READS)
def test_a_point_in_time_that_is_none_is_refused_with_its_field(knowing: Knowing, name: str) -> None:
    wrong: list[tuple[str, Any]] = [
        ("as_of_position", -1),
        ("min_position", -1),
        ("as_of_time", Timestamp(seconds=10**12)),
    ]
    if name in SEEN_BY_MARKET_TIME:
        wrong.append(("known_before", Timestamp(seconds=10**12)))
        told(knowing)
    if name in SEEN_BY_SESSIONS:
        wrong.append(("market_time", Timestamp(seconds=10**12)))
    for field, value in wrong:
        with pytest.raises(InvalidInput) as caught:
            ask(knowing, name, **{field: value})
        assert set(caught.value.fields) == {field}


@pytest.mark.parametrize("name", READS)
def test_a_position_that_is_still_to_come_is_refused(knowing: Knowing, name: str) -> None:
    _, second = told(knowing)
    assert ask(knowing, name, as_of_position=second.position).position == second.position
    method, base = READS[name]
    request = type(base)(as_of_position=second.position + 1)
    request.MergeFrom(base)
    with pytest.raises(InvalidInput, match=f"the log ends at {second.position}: ask for one up to that"):
        knowing.ask(getattr(knowing.stub, method), request)


def test_what_was_known_at_a_market_time_is_what_a_log_without_later_labels_tells(world: World) -> None:
    """Bars 800 to 999 have their labels before the time of bar 1001; a log that got no later bar says the same."""

    def answer(name: str, end: int, **asked: Any) -> list[pb.KnownPattern]:
        world.start_log(name)
        knowing = world.start_knowledge()
        knowing.ask(knowing.stub.RecordEvidence, session("s1", first_test(TRUTH, (0, 800))))
        knowing.ask(knowing.stub.RecordEvidence, session("s2", met_again(TURNED, (800, end)), lineage=LOGISTIC))
        found = ask(knowing, "knowledge", **asked).patterns
        knowing.stop()
        world.stop_log()
        for known in found:
            known.ClearField("found_at")
        return list(found)

    filtered = answer("whole", 1900, known_before=market_time(1001))
    assert filtered == answer("short", 1000)
    assert [len(known.confidences) for known in filtered] == [2]
    assert filtered[0].counts.bars == 1000


def test_all_reads_agree_on_a_point_of_both_axes(knowing: Knowing) -> None:
    first, second = told(knowing)
    for position in (first.position, second.position):
        for bar in (400, 801, 1000, 1990):
            asked = {"as_of_position": position, "known_before": market_time(bar)}
            answers = [ask(knowing, name, **asked) for name in SEEN_BY_MARKET_TIME]
            [known], [listed], one = answers[0].patterns, answers[1].patterns, answers[2].pattern
            assert known == listed == one
            assert {answer.position for answer in answers} == {position}
            assert one.counts.bars == min(bar - 1, 800 if position == first.position else 1900)


def test_a_history_as_of_a_market_time_holds_no_later_label(knowing: Knowing) -> None:
    told(knowing)
    whole = ask(knowing, "pattern")
    states = [pattern_pb2.PATTERN_STATE_CONFIRMED, pattern_pb2.PATTERN_STATE_RETIRED]
    assert [change.state for change in whole.history] == states
    assert "is not above the line" in whole.history[1].reason
    early = ask(knowing, "pattern", known_before=market_time(821))
    assert [change.state for change in early.history] == [states[0], states[0]]
    assert [change.counts.bars for change in early.history] == [800, 820]
    assert [(change.bars, change.new_bars) for change in early.history] == [(800, 800), (20, 20)]
    assert [change.last_bar.seconds for change in early.history] == [TRUTH.time(799), TRUTH.time(819)]
    assert not early.history[1].reason
    assert list(early.pattern.confidences) == [change.counts.confidence for change in early.history]


def test_a_pattern_of_which_no_label_was_known_is_not_found_and_says_so(knowing: Knowing) -> None:
    told(knowing)
    with pytest.raises(NotFound, match="no bar whose label was known before 1970-01-01T00:00:05Z") as caught:
        ask(knowing, "pattern", known_before=Timestamp(seconds=5))
    assert set(caught.value.fields) == {"known_before"}


def test_a_page_token_is_of_one_list_and_keeps_its_position(knowing: Knowing) -> None:
    tests = [first_test(TRUTH, (0, 800 - number), pattern_id=f"p{number}") for number in range(3)]
    knowing.ask(knowing.stub.RecordEvidence, session("s1", *tests))
    first = ask(knowing, "patterns", page_size=2, known_before=market_time(700))
    knowing.ask(knowing.stub.RecordEvidence, session("s2", met_again(TRUTH, (300, 1500), pattern_id="p1")))
    rest = ask(
        knowing,
        "patterns",
        page_size=1,
        known_before=market_time(700),
        page_token=first.next_page_token,
        min_position=2,
    )
    assert (len(first.patterns), len(rest.patterns), rest.next_page_token) == (2, 1, "")
    assert rest.position == first.position
    others: list[dict[str, Any]] = [
        {},
        {"known_before": market_time(701)},
        {"known_before": market_time(700), "as_of_position": 1},
        {"known_before": market_time(700), "as_of_time": Timestamp(seconds=9)},
        {"known_before": market_time(700), "series": SERIES},
        {"known_before": market_time(700), "state": pattern_pb2.PATTERN_STATE_KEPT},
    ]
    for asked in others:
        with pytest.raises(InvalidInput, match="of another list") as caught:
            ask(knowing, "patterns", page_token=first.next_page_token, **asked)
        assert set(caught.value.fields) == {"page_token"}
