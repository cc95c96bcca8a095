"""Patterns in each state, services that know them, and commands that are read out of what is printed."""

import shlex
from collections.abc import Callable
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli import cli
from ratchet.errors import NotFound, RatchetError
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.events.v1 import model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc

Serve = Callable[..., str]

HEAD = 90
LOGISTIC = "AAPL/range/logistic"
STATE = pattern_pb2.PatternState
IDS = {
    name: format(number, "x") * 16 for number, name in enumerate(("sure", "near", "gone", "bad", "guest", "twin"), 10)
}


def day(text: str) -> Timestamp:
    found = Timestamp()
    found.FromJsonString(f"{text}T00:00:00Z")
    return found


def counts(confidence: float = 0.66, base: float = 0.51) -> pattern_pb2.PatternCounts:
    return pattern_pb2.PatternCounts(
        bars=1203,
        support=212,
        hits=round(212 * confidence),
        base_rate=base,
        effective_support=143.2,
        confidence=confidence,
        low=confidence - 0.05,
        high=confidence + 0.05,
        probability_above_base=0.9991,
        probability_above_line=0.93,
    )


def known(
    name: str,
    state: str,
    wording: str,
    confidence: float = 0.0,
    kind: str = "level",
    task: str = "range",
    label: bool = True,
    **more: Any,
) -> knowledge_pb2.KnownPattern:
    rule = pattern_pb2.Rule(label=label)
    pattern = {"id": IDS[name], "series": "AAPL", "task": task, "rule": rule, "wording": wording, "type": kind}
    tested = {"counts": counts(confidence), "evidence_end": day("2009-12-30"), "found_by": LOGISTIC}
    return knowledge_pb2.KnownPattern(
        pattern=pattern, state=STATE.Value(f"PATTERN_STATE_{state}"), **(tested if confidence else {}), **more
    )


SURE = known("sure", "CONFIRMED", "ema_12 crosses above ema_26 → wider range", 0.70, "cross", confidences=[0.6, 0.76])
NEAR = known("near", "KEPT", "rsi_14 > 70 → wider range", 0.62, confidences=[0.62])
GONE = known("gone", "RETIRED", "gap > 2 → wider range", 0.55, retired_reason="confidence 55.0% is not above the line")
BAD = known("bad", "REFUTED", "weekday is 2 → wider range", 0.52, "calendar")
TWIN = known("twin", "COVERED", "rsi_14 > 71 → wider range", 0.63, covered_by=IDS["near"])
GUEST = known(
    "guest",
    "OFFERED",
    "volume_ratio_20 > 2 → wider range",
    kind="volume",
    offer={
        "pattern_id": "f" * 16,
        "series": "MSFT",
        "state": pattern_pb2.PATTERN_STATE_KEPT,
        "counts": counts(0.68),
        "reason": "same sector",
        "offered_at": day("2026-03-03"),
        "position": 88,
    },
)
ALL = [BAD, NEAR, GUEST, SURE, TWIN, GONE]

HISTORY = [
    knowledge_pb2.PatternChange(
        position=40,
        recorded_at=day("2026-03-01"),
        session_id="s1",
        lineage=LOGISTIC,
        state=pattern_pb2.PATTERN_STATE_KEPT,
        counts=counts(0.60),
        bars=250,
        new_bars=250,
    ),
    knowledge_pb2.PatternChange(
        position=60,
        recorded_at=day("2026-03-02"),
        state=pattern_pb2.PATTERN_STATE_RETIRED,
        counts=counts(0.60),
        reason="bad file",
    ),
    knowledge_pb2.PatternChange(
        position=77,
        recorded_at=day("2026-03-03"),
        session_id="s2",
        lineage=LOGISTIC,
        state=pattern_pb2.PATTERN_STATE_CONFIRMED,
        counts=counts(0.76),
        bars=250,
        new_bars=180,
    ),
]
YEARS = [
    knowledge_pb2.YearOfEvidence(year=2008, bars=250, support=50, hits=35, base_rate=0.52),
    knowledge_pb2.YearOfEvidence(year=2009, bars=251, support=0, hits=0, base_rate=0.47),
]
RATES = [
    knowledge_pb2.SuccessRate(
        tested=40,
        admitted=10,
        in_force=6,
        retired=3,
        covered=1,
        rate=model_pb2.Interval(value=0.25, low=0.14, high=0.4),
        later_support=1200,
        later_hits=756,
        later_base_rate=0.5,
    ),
    knowledge_pb2.SuccessRate(type="level", tested=40, admitted=10, rate=model_pb2.Interval(value=0.25)),
]


class Knowledge(knowledge_pb2_grpc.KnowledgeServiceServicer):
    """Knows `patterns`, refuses offers as `map_errors` says by series, and remembers what it was asked."""

    def __init__(self, patterns: list[knowledge_pb2.KnownPattern], map_errors: dict[str, RatchetError]) -> None:
        self.patterns, self.map_errors = patterns, map_errors
        self.asked: list[Any] = []

    def ListPatterns(self, request: Any, context: Any) -> knowledge_pb2.ListPatternsResponse:
        self.asked.append(request)
        return knowledge_pb2.ListPatternsResponse(patterns=self.patterns)

    def GetPattern(self, request: Any, context: Any) -> knowledge_pb2.GetPatternResponse:
        self.asked.append(request)
        found = next(each for each in self.patterns if each.pattern.id.startswith(request.pattern_id))
        tested = found.counts.bars > 0
        return knowledge_pb2.GetPatternResponse(
            pattern=found, history=HISTORY if tested else [], years=YEARS if tested else []
        )

    def OfferPattern(self, request: Any, context: Any) -> knowledge_pb2.OfferPatternResponse:
        self.asked.append(request)
        if request.series in self.map_errors:
            raise self.map_errors[request.series]
        there = knowledge_pb2.KnownPattern()
        there.CopyFrom(GUEST)
        there.pattern.series, there.pattern.task = request.series, "range-h5"
        return knowledge_pb2.OfferPatternResponse(pattern=there)

    def RetirePattern(self, request: Any, context: Any) -> knowledge_pb2.RetirePatternResponse:
        self.asked.append(request)
        retired = knowledge_pb2.KnownPattern()
        retired.CopyFrom(next(each for each in self.patterns if each.pattern.id == request.pattern_id))
        retired.state, retired.retired_reason = pattern_pb2.PATTERN_STATE_RETIRED, request.reason
        return knowledge_pb2.RetirePatternResponse(pattern=retired)

    def ListSuccessRates(self, request: Any, context: Any) -> knowledge_pb2.ListSuccessRatesResponse:
        self.asked.append(request)
        return knowledge_pb2.ListSuccessRatesResponse(rates=RATES)


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Two lineages use every pattern of AAPL; MSFT has a model, IBM has none."""

    def GetLineage(self, request: registry_pb2.GetLineageRequest, context: Any) -> registry_pb2.GetLineageResponse:
        node = registry_pb2.LineageNode
        models = [(f"{LOGISTIC}/v{n}", n == 10) for n in (10, 9)] + [("AAPL/range/lstm/v1", False)]
        used = [node(kind="model", id=name, depth=1, live=live) for name, live in models]
        return registry_pb2.GetLineageResponse(nodes=[node(kind="pattern", id=request.subject), *used])

    def GetSymbolBest(self, request: Any, context: Any) -> registry_pb2.GetSymbolBestResponse:
        if request.series != "MSFT":
            raise NotFound("no model")
        lineage = f"MSFT/{request.task}/random-forest"
        return registry_pb2.GetSymbolBestResponse(model=registry_pb2.Model(lineage=lineage))


class Log(eventlog_pb2_grpc.EventLogServiceServicer):
    def GetHead(self, request: eventlog_pb2.GetHeadRequest, context: Any) -> eventlog_pb2.GetHeadResponse:
        return eventlog_pb2.GetHeadResponse(position=HEAD)


def start(
    serve: Serve, patterns: tuple[knowledge_pb2.KnownPattern, ...], map_errors: dict[str, RatchetError]
) -> tuple[Knowledge, str]:
    """The services on one address."""
    knowledge = Knowledge(list(patterns), map_errors)
    address = serve(
        (knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server, knowledge, "ratchet.knowledge.v1.KnowledgeService"),
        (registry_pb2_grpc.add_RegistryServiceServicer_to_server, Registry(), "ratchet.registry.v1.RegistryService"),
        (eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, Log(), "ratchet.eventlog.v1.EventLogService"),
    )
    return knowledge, address


def require_parsed(command: str) -> None:
    """The command as the shell would get it is one of ours."""
    _, *given = shlex.split(command)
    name, found, rest = cli.resolve_command(click.Context(cli), given)
    while isinstance(found, click.Group):
        with click.Context(found) as ctx:
            name, found, rest = found.resolve_command(ctx, rest)
    assert found is not None
    found.make_context(name, rest)


def printed_commands(out: str) -> list[str]:
    return [line[line.index("ratchet ") :].strip() for line in out.splitlines() if "ratchet " in line]
