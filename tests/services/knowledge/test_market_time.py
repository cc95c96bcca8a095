"""What sessions of later market time recorded, before or after, changes nothing that is read as of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from test_order_of_evidence import BARS, SIMPLE, Piece, first_tests, recorded, updates

from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as pb
from services.knowledge.api.messages import known_pattern
from services.knowledge.domain import pattern_views
from services.knowledge.domain.decide import offer, retire
from services.knowledge.domain.rules import State
from services.knowledge.domain.subsumption_updates import with_subsumption_updates
from services.knowledge.projection.state import KnowledgeState, fold
from services.platform.facts import Fact
from tests.support.knowledge_services import Knowing
from tests.support.planted_rule import (
    DAY,
    FIRST,
    FOREST,
    LOGISTIC,
    SERIES,
    SNAPSHOTS,
    TASK,
    Truth,
    first_test,
    met_again,
    session,
)

TRUTH = Truth.drawn(1, bars=2000)
TURNED = Truth.drawn(1, bars=2000, hit_rate=0.3)
EARLY, LATE = 1000, 1900


@dataclass(frozen=True)
class Session:
    """A session of a market time, in bars, that brings a piece of evidence."""

    number: int
    piece: Piece
    market_bar: int


def told(story: Sequence[Session]) -> KnowledgeState:
    """Each piece by a session of its own; one updates only a rule that it may know of."""
    state = KnowledgeState(snapshots=SNAPSHOTS)
    for each in story:
        known = {found.record.id for found in seen(state, each.market_bar)}
        if each.piece.passed is not None or each.piece.rule in known:
            request = session(f"s{each.number}", each.piece.tested(), market_bar=each.market_bar)
            state = recorded(state, request)
    return state


def appended(state: KnowledgeState, facts: list[Fact]) -> KnowledgeState:
    positions = range(state.position + 1, state.position + 1 + len(facts))
    return fold(state, list(zip(positions, facts, strict=True)), state.position + len(facts))


def seen(state: KnowledgeState, market_bar: int, before: int | None = None) -> tuple[pattern_views.PatternView, ...]:
    known_before = None if before is None else SIMPLE.time(before)
    return pattern_views.views(state.scope(SERIES, TASK), None, known_before, FIRST + market_bar * DAY)


def told_to(state: KnowledgeState, market_bar: int, before: int | None) -> list[pb.KnownPattern]:
    """All that a session of a market time reads, but for positions in the log."""
    found = [known_pattern(each) for each in seen(state, market_bar, before)]
    for known in found:
        known.ClearField("position")
        # Covering that changed is a fact too, and has a confidence; which facts those are depends on the order.
        known.ClearField("confidences")
    return sorted(found, key=lambda known: known.pattern.id)


def spent(state: KnowledgeState, market_bar: int) -> dict[str, int | None]:
    records = (record.as_of_market_time(FIRST + market_bar * DAY) for record in state.scope(SERIES, TASK))
    return {record.id: last for record in records if (last := record.tested_through()) is not None}


@settings(deadline=None, max_examples=80)
@given(
    pieces=st.lists(st.tuples(st.one_of(first_tests, updates), st.sampled_from([900, 910, 920, 930])), max_size=9),
    market_bar=st.sampled_from([900, 910, 920]),
    before=st.one_of(st.none(), st.integers(0, BARS)),
)
def test_a_session_reads_what_a_log_without_later_market_time_tells(
    pieces: list[tuple[Piece, int]], market_bar: int, before: int | None
) -> None:
    story = [Session(number, *each) for number, each in enumerate(pieces)]
    whole, alone = told(story), told([each for each in story if each.market_bar <= market_bar])
    assert told_to(whole, market_bar, before) == told_to(alone, market_bar, before)
    assert spent(whole, market_bar) == spent(alone, market_bar)


@settings(deadline=None, max_examples=30)
@given(pieces=st.lists(st.one_of(first_tests, updates), max_size=7), before=st.integers(0, BARS))
def test_of_the_last_market_time_everything_counts(pieces: list[Piece], before: int) -> None:
    state = told([Session(number, piece, 900) for number, piece in enumerate(pieces)])
    scope = state.scope(SERIES, TASK)
    for known_before in (None, SIMPLE.time(before)):
        recorded_then = pattern_views.views(scope, None, known_before)
        found = pattern_views.views(scope, None, known_before, FIRST + 900 * DAY)
        assert [(each.record, each.state, each.counts) for each in found] == [
            (each.record, each.state, each.counts) for each in recorded_then
        ]


def test_a_person_who_retires_is_heard_whatever_the_market_time() -> None:
    """Bars that count for a return are those recorded after the word, by sessions that count."""
    piece = Piece("simple", 0, 600, True)
    state = told([Session(1, piece, 700), Session(2, Piece("simple", 600, 200, None), 920)])
    word = retire(state.patterns["simple"], "the data was wrong")
    state = appended(state, with_subsumption_updates(state.scope(SERIES, TASK), [word], SNAPSHOTS, ""))
    for market_bar, bars in ((700, 600), (920, 800)):
        [known] = seen(state, market_bar)
        assert (known.state, known.counts.bars) == (State.RETIRED, bars)
        assert known.retired_reason == "the data was wrong"


def test_an_offer_waits_for_a_test_whose_market_time_counts() -> None:
    """A person's offer has no market time, and neither it nor what is shown of it tells of later labels."""
    state = told([Session(1, Piece("simple", 0, 600, True), 700)])
    offered = offer(state.patterns["simple"], "MSFT", "alike", None)
    state = appended(state, [offered])
    [definition] = [record.definition for record in state.scope("MSFT", TASK)]
    late = pb.TestedPattern(pattern=definition, evidence=SIMPLE.evidence((0, 600)), p_value=0.01, passed=True)
    state = recorded(state, session("s2", late, lineage="MSFT/range/logistic", market_bar=920))
    for market_bar, expected in ((919, State.OFFERED), (920, State.CONFIRMED)):
        [found] = pattern_views.views(state.scope("MSFT", TASK), None, None, FIRST + market_bar * DAY)
        assert found.state is expected
        assert known_pattern(found).offer.counts == pattern_pb2.PatternCounts()


def market_time(bar: int) -> Timestamp:
    return Timestamp(seconds=TRUTH.time(bar))


def knowledge(knowing: Knowing, bar: int) -> pb.GetKnowledgeResponse:
    request = pb.GetKnowledgeRequest(series=SERIES, task=TASK, include_all=True, market_time=market_time(bar))
    return knowing.ask(knowing.stub.GetKnowledge, request)


def test_a_later_session_that_found_the_rule_first_leaves_it_to_the_earlier_one(knowing: Knowing) -> None:
    late = session("s1", first_test(TRUTH, (300, 1500)), market_bar=LATE, lineage=LOGISTIC)
    knowing.ask(knowing.stub.RecordEvidence, late)
    nothing = knowledge(knowing, EARLY)
    assert not nothing.patterns
    assert not nothing.tested_ids
    assert not nothing.HasField("tested_through")
    knowing.ask(knowing.stub.RecordEvidence, session("s2", first_test(TRUTH, (0, 800)), market_bar=EARLY))
    knowing.ask(knowing.stub.RecordEvidence, session("s3", met_again(TURNED, (1500, 1900)), market_bar=LATE))
    found = knowledge(knowing, EARLY)
    [known] = found.patterns
    assert (known.counts.bars, known.found_by, list(found.tested_ids)) == (800, FOREST, ["aa11"])
    assert found.tested_through.seconds == TRUTH.time(799)
    assert knowledge(knowing, LATE).patterns[0].counts.bars == 1900


def test_the_rankings_of_later_sessions_are_left_out(knowing: Knowing) -> None:
    for name, bar in (("s1", EARLY), ("s2", LATE), ("s3", EARLY + 1)):
        knowing.ask(knowing.stub.RecordEvidence, session(name, market_bar=bar))

    def ranked(bar: int | None) -> list[str]:
        request = pb.ListFeatureHistoryRequest(lineage=FOREST)
        if bar is not None:
            request.market_time.CopyFrom(market_time(bar))
        found = knowing.ask(knowing.stub.ListFeatureHistory, request)
        return [ranking.session_id for ranking in found.rankings]

    assert ranked(None) == ranked(LATE) == ["s1", "s2", "s3"]
    assert (ranked(EARLY - 1), ranked(EARLY), ranked(EARLY + 1)) == ([], ["s1"], ["s1", "s3"])
