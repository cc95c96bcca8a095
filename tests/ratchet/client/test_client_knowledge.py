"""The client's questions about what has been learned, against a real server that remembers what it was asked."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet import Client, errors
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2 as pb
from ratchet.knowledge.v1 import knowledge_pb2_grpc

Serve = Callable[..., str]

MOMENT, MARKET = Timestamp(seconds=1_700_000_000, nanos=5), Timestamp(seconds=1_600_000_000)
PAGES = 3


class Knowledge(knowledge_pb2_grpc.KnowledgeServiceServicer):
    """Remembers what it was asked; lists have three pages; unavailable for the first `outages` calls."""

    def __init__(self, outages: int = 0) -> None:
        self.outages = outages
        self.requests: list[Any] = []

    def _seen(self, request: Any) -> int:
        """The number of the page that is asked for."""
        self.requests.append(request)
        if len(self.requests) <= self.outages:
            raise errors.Unreachable("the log is away for a moment")
        return int(getattr(request, "page_token", "") or 1)

    def GetKnowledge(self, request: pb.GetKnowledgeRequest, context: Any) -> pb.GetKnowledgeResponse:
        return pb.GetKnowledgeResponse(position=self._seen(request))

    def ListPatterns(self, request: pb.ListPatternsRequest, context: Any) -> pb.ListPatternsResponse:
        page = self._seen(request)
        return pb.ListPatternsResponse(patterns=[pb.KnownPattern(position=page)], next_page_token=following(page))

    def GetPattern(self, request: pb.GetPatternRequest, context: Any) -> pb.GetPatternResponse:
        return pb.GetPatternResponse(position=self._seen(request), years=[pb.YearOfEvidence(year=2024)])

    def OfferPattern(self, request: pb.OfferPatternRequest, context: Any) -> pb.OfferPatternResponse:
        self._seen(request)
        pattern = pattern_pb2.Pattern(id=request.pattern_id, series=request.series)
        return pb.OfferPatternResponse(pattern=pb.KnownPattern(pattern=pattern))

    def ListSuccessRates(self, request: pb.ListSuccessRatesRequest, context: Any) -> pb.ListSuccessRatesResponse:
        self._seen(request)
        return pb.ListSuccessRatesResponse(rates=[pb.SuccessRate(series=request.series, type="level", tested=4)])

    def ListFeatureHistory(self, request: pb.ListFeatureHistoryRequest, context: Any) -> pb.ListFeatureHistoryResponse:
        page = self._seen(request)
        rankings = [pb.FeatureRanking(position=page)]
        return pb.ListFeatureHistoryResponse(rankings=rankings, next_page_token=following(page))


def following(page: int) -> str:
    return str(page + 1) if page < PAGES else ""


@pytest.fixture
def asked() -> Knowledge:
    return Knowledge()


def connected(serve: Serve, asked: Knowledge) -> Client:
    add = knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server
    return Client(knowledge=serve((add, asked, "ratchet.knowledge.v1.KnowledgeService")))


READS: dict[str, Callable[..., Any]] = {
    "get_knowledge": lambda client, **point: client.get_knowledge("AAPL", "range", **point),
    "list_patterns": lambda client, **point: list(client.list_patterns(series="AAPL", task="range", **point)),
    "get_pattern": lambda client, **point: client.get_pattern("aa11", **point),
    "list_success_rates": lambda client, **point: client.list_success_rates(series="AAPL", task="range", **point),
    "list_feature_history": lambda client, **point: list(client.list_feature_history("AAPL/range/logistic", **point)),
}
SEEN_BY_MARKET_TIME = ("get_knowledge", "list_patterns", "get_pattern")


@pytest.mark.parametrize("name", READS)
def test_every_read_takes_a_point_in_log_time(serve: Serve, asked: Knowledge, name: str) -> None:
    with connected(serve, asked) as client:
        READS[name](client, as_of=MOMENT)
        by_moment = len(asked.requests)
        READS[name](client, as_of=7, min_position=9)
        by_position = len(asked.requests)
        READS[name](client)
    assert {request.as_of_time.ToNanoseconds() for request in asked.requests[:by_moment]} == {MOMENT.ToNanoseconds()}
    points = {(request.as_of_position, request.min_position) for request in asked.requests[by_moment:by_position]}
    assert points == {(7, 9)}
    assert not any(request.HasField("as_of_time") for request in asked.requests[by_moment:])


@pytest.mark.parametrize("name", SEEN_BY_MARKET_TIME)
def test_reads_of_patterns_take_a_market_time_too(serve: Serve, asked: Knowledge, name: str) -> None:
    with connected(serve, asked) as client:
        READS[name](client, as_of=MOMENT, known_before=MARKET)
        both = len(asked.requests)
        READS[name](client)
    assert all((r.known_before, r.as_of_time) == (MARKET, MOMENT) for r in asked.requests[:both])
    assert not any(request.HasField("known_before") for request in asked.requests[both:])


def test_lists_of_the_past_go_over_all_pages_with_the_same_question(serve: Serve, asked: Knowledge) -> None:
    with connected(serve, asked) as client:
        patterns = client.list_patterns(series="AAPL", as_of=MOMENT, known_before=MARKET)
        assert [known.position for known in patterns] == [1, 2, 3]
        rankings = client.list_feature_history("AAPL/range/logistic", as_of=7)
        assert [ranking.position for ranking in rankings] == [1, 2, 3]
    for requests in (asked.requests[:PAGES], asked.requests[PAGES:]):
        assert [request.page_token for request in requests] == ["", "2", "3"]
        for request in requests:
            request.ClearField("page_token")
        assert requests[0] == requests[1] == requests[2]


def test_what_is_asked_for_is_sent_and_what_comes_is_the_contracts_message(serve: Serve, asked: Knowledge) -> None:
    with connected(serve, asked) as client:
        assert client.get_pattern("aa11").years[0].year == 2024
        [rate] = client.list_success_rates(series="MSFT", task="range-h5")
        assert (rate.series, rate.type, rate.tested) == ("MSFT", "level", 4)
        list(client.list_success_rates())
    named, one, everything = asked.requests
    assert named.pattern_id == "aa11"
    assert [(request.series, request.task) for request in (one, everything)] == [("MSFT", "range-h5"), ("", "")]


def test_an_offer_is_a_write_whose_retries_share_its_id(serve: Serve) -> None:
    asked = Knowledge(outages=2)
    with connected(serve, asked) as client:
        there = client.offer_pattern("aa11", "MSFT", "same sector")
        client.offer_pattern("aa11", "MSFT", "same sector")
        client.offer_pattern("aa11", "MSFT", "same sector", request_id="mine")
    assert (there.pattern.id, there.pattern.series) == ("aa11", "MSFT")
    assert asked.requests[0].reason == "same sector"
    ids = [request.request_id for request in asked.requests]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert all(ids)
    assert ids[4] == "mine"
