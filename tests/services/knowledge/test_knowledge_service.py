"""The whole service over gRPC, on a real log: what it promises to sessions, to readers and after a restart."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    PreconditionFailed,
    Unreachable,
)
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as pb
from ratchet.patterns.evidence import encode
from ratchet.patterns.snapshot_rows import RowRange
from services.platform.facts import Fact, from_state
from tests.support.datasets import daily, dataset
from tests.support.knowledge_services import Knowing, World
from tests.support.planted_rule import (
    FIRST,
    FOREST,
    IMPORTED,
    LOGISTIC,
    ROWS,
    SERIES,
    TASK,
    Truth,
    first_test,
    met_again,
    session,
)

TRUTH = Truth.drawn(1, bars=2000)
WEAK = Truth.drawn(2, bars=2000, hit_rate=0.45)
CONFIRMED = pattern_pb2.PATTERN_STATE_CONFIRMED
RETIRED = pattern_pb2.PATTERN_STATE_RETIRED


STANDING = dataset(digest="standing", times=daily(ROWS, FIRST), standstills=[RowRange(50, 10)])


def imported(world: World, dataset: facts_pb2.DatasetRegistered) -> None:
    world.append([Fact(f"dataset/{dataset.digest}", 1, dataset)])


def of_standstill(first_row: int, bars: int) -> pattern_pb2.BarEvidence:
    span = encode(first_row, TRUTH.fired[:bars], TRUTH.outcomes[:bars])
    return pattern_pb2.BarEvidence(dataset_digest="standing", spans=[span])


def record(knowing: Knowing, request: pb.RecordEvidenceRequest) -> pb.RecordEvidenceResponse:
    return knowing.ask(knowing.stub.RecordEvidence, request)


def knowledge(
    knowing: Knowing, before: int | None = None, as_of: int = 0, everything: bool = False
) -> pb.GetKnowledgeResponse:
    request = pb.GetKnowledgeRequest(series=SERIES, task=TASK, as_of_position=as_of, include_all=everything)
    if before is not None:
        request.known_before.CopyFrom(Timestamp(seconds=TRUTH.time(before)))
    return knowing.ask(knowing.stub.GetKnowledge, request)


def get(knowing: Knowing, pattern_id: str) -> pb.GetPatternResponse:
    return knowing.ask(knowing.stub.GetPattern, pb.GetPatternRequest(pattern_id=pattern_id))


def retire(
    knowing: Knowing, pattern_id: str, reason: str = "wrong data", request_id: str = "r1"
) -> pb.RetirePatternResponse:
    request = pb.RetirePatternRequest(request_id=request_id, pattern_id=pattern_id, reason=reason)
    return knowing.ask(knowing.stub.RetirePattern, request)


def ids(patterns: object) -> list[str]:
    return [found.pattern.id for found in patterns]  # type: ignore[attr-defined]


def test_what_a_session_found_is_known_with_its_evidence(knowing: Knowing) -> None:
    answer = record(knowing, session("s1", first_test(TRUTH, (0, 800)), first_test(WEAK, (0, 800), pattern_id="bb22")))
    assert answer.position == IMPORTED + 3
    [kept, refuted] = answer.patterns
    assert (kept.state, refuted.state) == (CONFIRMED, pattern_pb2.PATTERN_STATE_REFUTED)
    assert (kept.counts.bars, kept.counts.support) == (800, int(TRUTH.fired[:800].sum()))
    assert (kept.tested_through.seconds, kept.evidence_end.seconds) == (TRUTH.time(799), TRUTH.time(800))
    assert (kept.found_by, kept.validations, kept.position) == (FOREST, 0, IMPORTED + 1)
    assert kept.found_at.seconds > 0
    known = knowledge(knowing)
    assert ids(known.patterns) == ["aa11"]
    assert list(known.tested_ids) == ["aa11", "bb22"]
    assert known.tested_through.seconds == TRUTH.time(799)
    assert ids(knowledge(knowing, everything=True).patterns) == ["aa11", "bb22"]


def test_the_facts_carry_the_callers_name_and_the_session(world: World, knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    stored = world.client().select_notifications(start=IMPORTED + 1, limit=10)
    facts = [
        from_state(str(event.originator_id), event.originator_version, event.topic, event.state) for event in stored
    ]
    assert [(fact.stream, fact.version) for fact in facts] == [("pattern/aa11", 1), (f"features/{FOREST}", 1)]
    assert {fact.actor for fact in facts} == {"ann"}
    assert {(fact.request_id, fact.correlation_id, fact.causation_id) for fact in facts} == {
        ("evidence/s1", "s1", "s1")
    }


def test_a_session_that_is_sent_again_gets_the_first_answer(knowing: Knowing) -> None:
    request = session("s1", first_test(TRUTH, (0, 800)))
    first = record(knowing, request)
    record(knowing, session("s2", met_again(TRUTH, (700, 1500)), lineage=LOGISTIC))
    assert record(knowing, request) == first
    assert knowledge(knowing).position == first.position + 2


def test_a_session_records_once(knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    with pytest.raises(AlreadyExists, match="s1 of AAPL/range/random-forest has recorded other evidence"):
        record(knowing, session("s1", first_test(TRUTH, (0, 800), pattern_id="bb22")))
    with pytest.raises(AlreadyExists):
        record(knowing, session("s1", first_test(TRUTH, (0, 800)), lineage=LOGISTIC))


def test_a_session_without_patterns_still_ranks_its_features(knowing: Knowing) -> None:
    assert record(knowing, session("s1")).position == IMPORTED + 1
    nothing = session("s2")
    nothing.ClearField("features")
    assert record(knowing, nothing).position == IMPORTED + 1
    [ranking] = knowing.ask(knowing.stub.ListFeatureHistory, pb.ListFeatureHistoryRequest(lineage=FOREST)).rankings
    assert (ranking.session_id, ranking.position, ranking.features[0].name) == ("s1", IMPORTED + 1, "rsi_14")


def test_the_same_bars_from_five_model_types_count_once(knowing: Knowing) -> None:
    first = record(knowing, session("s0", first_test(TRUTH, (0, 800))))
    types = ("random-forest", "logistic", "xgboost", "lstm", "gradient-boosting")
    requests = [
        session(f"s{number}", first_test(TRUTH, (100, 800)), lineage=f"AAPL/range/{kind}")
        for number, kind in enumerate(types, start=1)
    ]
    for request in requests:
        last = record(knowing, request)
    assert last.patterns[0].counts == first.patterns[0].counts
    assert last.patterns[0].validations == 0
    assert len(get(knowing, "aa11").history) == 6


def test_concurrent_sessions_with_overlapping_evidence_all_succeed(world: World, knowing: Knowing) -> None:
    record(knowing, session("s0", first_test(TRUTH, (0, 400))))
    both = (knowing, world.start_knowledge())
    start = threading.Barrier(8)

    def run(number: int) -> pb.RecordEvidenceResponse:
        start.wait(20)
        evidence = met_again(TRUTH, (300 + 100 * number, 600 + 100 * number))
        fresh = first_test(TRUTH, (0, 400), pattern_id="bb22")
        lineage = FOREST if number % 4 else LOGISTIC
        return record(both[number % 2], session(f"s{number + 1}", evidence, fresh, lineage=lineage))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(run, range(8)))
    last = max(answer.position for answer in answers)
    assert last == IMPORTED + 2 + 3 * 8
    for one in both:
        found = one.ask(one.stub.GetPattern, pb.GetPatternRequest(pattern_id="aa11", min_position=last))
        assert (found.pattern.counts.bars, len(found.history)) == (1300, 9)


def test_market_time_and_log_time_each_hide_what_came_later(knowing: Knowing) -> None:
    first = record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    record(knowing, session("s2", met_again(TRUTH, (800, 1500))))
    [now] = knowledge(knowing).patterns
    [then] = knowledge(knowing, as_of=first.position).patterns
    [before] = knowledge(knowing, before=1001).patterns
    assert [found.counts.bars for found in (now, then, before)] == [1500, 800, 1000]
    assert then == first.patterns[0]
    assert before.evidence_end.seconds == TRUTH.time(1000)


def test_a_rule_is_not_known_before_its_first_test_was_over_but_is_never_tested_again(knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    early = knowledge(knowing, before=700)
    assert not early.patterns
    assert list(early.tested_ids) == ["aa11"]
    [undecided] = knowledge(knowing, before=700, everything=True).patterns
    assert (undecided.state, undecided.counts.bars) == (pattern_pb2.PATTERN_STATE_UNSPECIFIED, 699)
    assert not knowledge(knowing, before=0, everything=True).patterns


def test_validations_do_not_spend_bars_for_first_tests(knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    record(knowing, session("s2", met_again(TRUTH, (800, 1500))))
    assert knowledge(knowing).tested_through.seconds == TRUTH.time(799)


def test_a_restart_gives_the_same_answers(world: World, knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800)), first_test(WEAK, (0, 800), pattern_id="bb22")))
    record(knowing, session("s2", met_again(TRUTH, (700, 1500)), lineage=LOGISTIC))
    retire(knowing, "aa11")
    again = world.start_knowledge()

    def everything(one: Knowing) -> list[Message]:
        return [
            knowledge(one, everything=True),
            knowledge(one, before=1200, as_of=IMPORTED + 3),
            get(one, "aa11"),
            record(one, session("s1", first_test(TRUTH, (0, 800)), first_test(WEAK, (0, 800), pattern_id="bb22"))),
            retire(one, "aa11"),
            one.ask(one.stub.ListPatterns, pb.ListPatternsRequest()),
            one.ask(one.stub.ListFeatureHistory, pb.ListFeatureHistoryRequest(lineage=LOGISTIC)),
        ]

    assert everything(again) == everything(knowing)


def test_patterns_are_listed_in_pages_that_fit_together(knowing: Knowing) -> None:
    tests = [first_test(TRUTH, (0, 800 - number), pattern_id=f"p{number}") for number in range(7)]
    record(knowing, session("s1", *tests))

    def page(token: str) -> pb.ListPatternsResponse:
        request = pb.ListPatternsRequest(series=SERIES, task=TASK, page_size=3, page_token=token)
        return knowing.ask(knowing.stub.ListPatterns, request)

    first = page("")
    record(knowing, session("s2", first_test(TRUTH, (0, 900), pattern_id="later")))
    second = page(first.next_page_token)
    third = page(second.next_page_token)
    assert sorted(ids([*first.patterns, *second.patterns, *third.patterns])) == [f"p{n}" for n in range(7)]
    assert (first.position, second.position, third.next_page_token) == (IMPORTED + 8, IMPORTED + 8, "")
    with pytest.raises(InvalidInput, match="not a page token"):
        page("nonsense")


def test_patterns_are_listed_by_state_series_and_task(knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800)), first_test(WEAK, (0, 800), pattern_id="bb22")))

    def listed(**wanted: object) -> list[str]:
        request = pb.ListPatternsRequest(**wanted)  # type: ignore[arg-type]
        return ids(knowing.ask(knowing.stub.ListPatterns, request).patterns)

    assert listed() == ["aa11", "bb22"]
    assert listed(state=pattern_pb2.PATTERN_STATE_REFUTED) == ["bb22"]
    assert listed(series=SERIES, task="direction") == []
    assert listed(as_of_position=IMPORTED + 1) == ["aa11"]


def test_a_pattern_is_found_by_the_beginning_of_its_id(knowing: Knowing) -> None:
    record(knowing, session("s1", *(first_test(TRUTH, (0, 800), pattern_id=name) for name in ("ab1", "ab2", "abc"))))
    record(knowing, session("s2", first_test(TRUTH, (0, 800), pattern_id="ab")))
    assert get(knowing, "abc").pattern.pattern.id == "abc"
    assert get(knowing, "ab").pattern.pattern.id == "ab"
    with pytest.raises(InvalidInput, match="beginning of ab, ab1, ab2, abc"):
        get(knowing, "a")
    with pytest.raises(NotFound, match="see ratchet patterns list"):
        get(knowing, "zz")


def test_a_retired_pattern_is_known_no_more_and_says_why(knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    answer = retire(knowing, "aa", reason="a bad data file")
    assert (answer.pattern.state, answer.pattern.retired_reason) == (RETIRED, "a bad data file")
    assert not knowledge(knowing).patterns
    assert [change.state for change in get(knowing, "aa11").history] == [CONFIRMED, RETIRED]
    assert retire(knowing, "aa11", reason="a bad data file") == answer
    with pytest.raises(PreconditionFailed, match="retired already"):
        retire(knowing, "aa11", request_id="r2")
    with pytest.raises(InvalidInput, match="needs a reason"):
        retire(knowing, "aa11", reason="", request_id="r3")


def test_a_reader_waits_for_the_position_that_it_asks_for(world: World, knowing: Knowing) -> None:
    other = world.start_knowledge()
    position = record(knowing, session("s1", first_test(TRUTH, (0, 800)))).position
    request = pb.GetKnowledgeRequest(series=SERIES, task=TASK, min_position=position)
    assert ids(other.ask(other.stub.GetKnowledge, request).patterns) == ["aa11"]


@pytest.mark.parametrize("field", ["min_position", "as_of_position"])
def test_nobody_waits_for_a_position_that_the_log_does_not_have(knowing: Knowing, field: str) -> None:
    position = record(knowing, session("s1", first_test(TRUTH, (0, 800)))).position
    request = pb.GetKnowledgeRequest(series=SERIES, task=TASK, **{field: position + 1})
    with pytest.raises(InvalidInput, match=rf"no position {position + 1}; the log ends at {position}: ask for one"):
        knowing.ask(knowing.stub.GetKnowledge, request)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda request: request.ClearField("session_id"), "session_id"),
        (lambda request: setattr(request, "lineage", "AAPL/range"), "not a lineage"),
        (lambda request: setattr(request, "lineage", "AAPL/range-h1/logistic"), "is written AAPL/range/logistic"),
        (lambda request: setattr(request, "lineage", "AAPL/volume/logistic"), "is of AAPL/range"),
        (lambda request: request.tested.append(request.tested[0]), "is there twice"),
        (lambda request: setattr(request.tested[0].pattern, "id", "no id"), "not a pattern's id"),
        (lambda request: request.tested[0].pattern.rule.ClearField("conditions"), "one or two"),
        (lambda request: request.tested[0].pattern.rule.conditions[0].ClearField("operator"), "an operator"),
        (lambda request: request.tested[0].evidence.ClearField("dataset_digest"), "from which dataset"),
        (lambda request: request.tested[0].ClearField("p_value"), "without the p value"),
        (lambda request: setattr(request.tested[0], "p_value", 1.5), "p value of 1.5"),
        (lambda request: setattr(request.tested[0].evidence, "dataset_digest", "d9"), "'d9' is not registered"),
        (lambda request: setattr(request.tested[0].evidence, "dataset_digest", "ibm"), "is of IBM, not of AAPL"),
        (lambda request: setattr(request.tested[0].evidence.spans[0], "first_row", -1), "begins at row -1"),
        (lambda request: setattr(request.tested[0].evidence.spans[0], "first_row", ROWS), f"row {ROWS}"),
        (lambda request: setattr(request.tested[0].evidence.spans[0], "first_row", ROWS - 800), "800 traded rows"),
        (lambda request: setattr(request.tested[0].evidence.spans[0], "bars", 801), "801 bars take 101"),
        (lambda request: request.tested[0].evidence.CopyFrom(of_standstill(50, 800)), "row 50, on which nothing"),
        (lambda request: request.ClearField("market_time"), "has no market_time; send the last labelled bar"),
        (lambda request: request.market_time.FromSeconds(TRUTH.time(798)), "after the market time"),
    ],
)
def test_a_wrong_request_is_refused_with_its_field_and_leaves_nothing(
    world: World, knowing: Knowing, change: Callable[[pb.RecordEvidenceRequest], object], word: str
) -> None:
    imported(world, dataset("IBM", "ibm", times=daily(ROWS, FIRST)))
    imported(world, STANDING)
    request = session("s1", first_test(TRUTH, (0, 800)))
    change(request)
    with pytest.raises(InvalidInput, match=word) as caught:
        record(knowing, request)
    assert caught.value.fields
    assert world.client().head() == IMPORTED + 2


def test_evidence_may_name_a_snapshot_that_was_registered_just_before(world: World, knowing: Knowing) -> None:
    """Its bars are the traded ones: they skip the standstill, and so do their labels."""
    for number in range(20):
        imported(world, dataset(digest=f"n{number}", times=daily(ROWS + number, FIRST)))
        tested = first_test(replace(TRUTH, digest=f"n{number}"), (0, 800), pattern_id=f"p{number}")
        assert record(knowing, session(f"s{number}", tested)).patterns[0].counts.bars == 800
    imported(world, STANDING)
    tested = first_test(TRUTH, pattern_id="gap")
    tested.evidence.CopyFrom(of_standstill(49, 3))
    [found] = record(knowing, session("gap", tested)).patterns
    assert (found.tested_through.seconds, found.evidence_end.seconds) == (TRUTH.time(61), TRUTH.time(62))
    assert world.start_knowledge().ask(knowing.stub.GetPattern, pb.GetPatternRequest(pattern_id="gap")).pattern == found


def test_it_starts_before_the_log_and_says_what_it_waits_for(world: World) -> None:
    world.start_log()
    world.stop_log()
    knowing = world.start_knowledge()
    request = pb.GetKnowledgeRequest(series=SERIES, task=TASK)
    with pytest.raises(Unreachable, match=r"knowledge has not read the log yet: the registry at .* does not answer"):
        knowing.ask(knowing.stub.GetKnowledge, request, 1.0)
    world.start_log()
    assert record(knowing, session("s1", first_test(TRUTH, (0, 800)))).position == IMPORTED + 2


def test_it_answers_while_the_log_is_away_and_catches_up_when_it_is_back(world: World, knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    world.stop_log()
    assert ids(knowledge(knowing).patterns) == ["aa11"]
    with pytest.raises(Unreachable, match=f"registry at {world.address} does not answer"):
        record(knowing, session("s2", met_again(TRUTH, (800, 900))))
    world.start_log()
    position = record(knowing, session("s2", met_again(TRUTH, (800, 900)))).position
    assert position == IMPORTED + 4
    assert get(knowing, "aa11").pattern.counts.bars == 900


def test_a_log_that_was_replaced_is_read_anew(world: World, knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    world.stop_log()
    world.start_log("another")
    for _ in range(200):
        known = knowledge(knowing, everything=True)
        if known.position == IMPORTED:
            break
        time.sleep(0.05)
    assert (known.position, list(known.patterns), list(known.tested_ids)) == (IMPORTED, [], [])
    assert record(knowing, session("s1")).position == IMPORTED + 1


def test_the_process_loads_no_learning_library() -> None:
    heavy = {"sklearn", "xgboost", "keras", "jax", "pandas", "pyarrow", "talib", "optuna", "skops", "scipy"}
    code = "import sys, services.knowledge.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "grpc" in loaded
    assert heavy.isdisjoint(loaded)


def test_a_request_id_retires_one_pattern(knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800)), first_test(TRUTH, (0, 700), pattern_id="bb22")))
    retire(knowing, "aa11", request_id="r1")
    with pytest.raises(AlreadyExists):
        retire(knowing, "bb22", request_id="r1")
    assert get(knowing, "bb22").pattern.state == CONFIRMED


def test_a_pattern_is_shown_with_its_evidence_year_by_year(knowing: Knowing) -> None:
    record(knowing, session("s1", first_test(TRUTH, (0, 800))))
    record(knowing, session("s2", met_again(TRUTH, (800, 1500))))
    answer = get(knowing, "aa11")
    counts = answer.pattern.counts
    assert [year.year for year in answer.years] == list(range(2001, 2006))
    assert sum(year.bars for year in answer.years) == counts.bars == 1500
    assert sum(year.support for year in answer.years) == counts.support
    assert sum(year.hits for year in answer.years) == counts.hits
    assert all(0.3 < year.base_rate < 0.7 for year in answer.years)
    past = pb.GetPatternRequest(
        pattern_id="aa11", as_of_position=IMPORTED + 1, known_before=Timestamp(seconds=TRUTH.time(400))
    )
    assert sum(year.bars for year in knowing.ask(knowing.stub.GetPattern, past).years) == 399


def test_a_pattern_that_another_one_covers_is_no_knowledge_of_its_own(knowing: Knowing) -> None:
    both = session("s1", first_test(TRUTH, (0, 800)), first_test(TRUTH, (0, 780), pattern_id="bb22"))
    assert [found.covered_by for found in record(knowing, both).patterns] == ["", "aa11"]
    assert ids(knowledge(knowing).patterns) == ["aa11"]
    assert list(knowledge(knowing).tested_ids) == ["aa11", "bb22"]
    [_, covered] = sorted(knowledge(knowing, everything=True).patterns, key=lambda found: found.pattern.id)
    assert (covered.state, covered.covered_by) == (pattern_pb2.PATTERN_STATE_COVERED, "aa11")
    assert [change.reason for change in get(knowing, "bb22").history] == ["pattern aa11 says the same more simply"]
    [known] = knowledge(knowing, before=790).patterns
    assert known.pattern.id == "bb22", "the first test of the other one was not over"
    retire(knowing, "aa11")
    assert ids(knowledge(knowing).patterns) == ["bb22"]
    freed = get(knowing, "bb22").history[-1]
    assert (freed.state, freed.session_id, freed.bars, freed.reason) == (CONFIRMED, "", 0, "")


def test_success_rates_tell_what_became_of_the_tested_rules(knowing: Knowing) -> None:
    first = session(
        "s1",
        first_test(TRUTH, (0, 800)),
        first_test(TRUTH, (0, 780), pattern_id="bb22"),
        first_test(WEAK, (0, 800), pattern_id="cc33"),
    )
    tested = record(knowing, first).position
    volume = first_test(TRUTH, (0, 800), pattern_id="dd44", task="volume")
    volume.pattern.type = "calendar"
    record(knowing, session("s2", volume, lineage="AAPL/volume/logistic"))
    record(knowing, session("s3", met_again(TRUTH, (700, 1000))))

    def rates(**asked: object) -> dict[tuple[str, str], pb.SuccessRate]:
        answer = knowing.ask(knowing.stub.ListSuccessRates, pb.ListSuccessRatesRequest(**asked))  # type: ignore[arg-type]
        assert answer.position == asked.get("as_of_position", IMPORTED + 8)
        return {(rate.series, rate.type): rate for rate in answer.rates}

    everything = rates()
    assert list(everything) == [
        ("", ""),
        ("", "calendar"),
        ("", "level"),
        (SERIES, ""),
        (SERIES, "calendar"),
        (SERIES, "level"),
    ]
    level = everything[SERIES, "level"]
    assert (level.tested, level.admitted, level.in_force, level.retired, level.covered) == (3, 2, 1, 0, 1)
    assert level.rate.value == pytest.approx(2 / 3)
    assert 0.1 < level.rate.low < 2 / 3 < level.rate.high < 1.0
    later = TRUTH.outcomes[800:1000][TRUTH.fired[800:1000]]
    assert (level.later_support, level.later_hits) == (len(later), later.sum())
    assert level.later_base_rate == pytest.approx(TRUTH.outcomes[800:1000].mean())
    assert (everything["", ""].tested, everything["", ""].admitted) == (4, 3)
    assert list(rates(series=SERIES, task=TASK)) == [(SERIES, ""), (SERIES, "level")]
    assert rates(series=SERIES, as_of_position=tested)[SERIES, ""].later_support == 0
    assert rates(series="IBM") == rates(task="direction") == {}
    retire(knowing, "aa11")
    answer = knowing.ask(knowing.stub.ListSuccessRates, pb.ListSuccessRatesRequest(task=TASK)).rates[0]
    assert (answer.admitted, answer.in_force, answer.retired, answer.covered) == (2, 1, 1, 0)
