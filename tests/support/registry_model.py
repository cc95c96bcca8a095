"""A registry without a server, and histories of it that hypothesis draws."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st

from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2, pattern_pb2
from ratchet.names import Lineage
from ratchet.registry.v1 import registry_pb2 as pb
from services.platform.facts import Fact
from services.platform.interceptors import Caller
from services.registry.eventlog import Log, LogApplication, Origin, Query, open_log
from services.registry.handlers.commands import Commands
from services.registry.handlers.states import States
from services.registry.projections import TABLES
from services.registry.queries.queries import Queries
from tests.support.datasets import dataset
from tests.support.registry_samples import evidence, record, stamp

LINEAGES = ("AAPL/range/random-forest", "AAPL/range/logistic", "AAPL/range-h5/logistic", "MSFT@1h/volume/logistic")
CALLER = Caller("tester", "")

lineages = st.sampled_from((*LINEAGES[:1] * 4, *LINEAGES[1:2] * 2, *LINEAGES[2:]))
steps = st.one_of(
    st.tuples(st.just("train"), lineages, st.sampled_from((-0.1, 0.0, 0.1)), st.integers(0, 60)),
    st.tuples(st.just("train"), lineages, st.sampled_from((0.0, 0.1)), st.just(150)),
    st.tuples(st.just("promote"), lineages, st.integers(1, 4)),
    st.tuples(st.just("rollback"), lineages),
    st.tuples(st.sampled_from(("fail", "cancel", "leave")), lineages),
    st.tuples(st.just("import"), st.sampled_from(("AAPL", "MSFT@1h")), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("pattern"), st.integers(1, 2)),
    st.tuples(st.just("rank"), lineages, st.integers(1, 3)),
)
BEGUN = (
    ("train", LINEAGES[0], 0.0, 0),
    ("train", LINEAGES[1], 0.0, 60),
    ("train", LINEAGES[0], 0.0, 60),
    ("train", LINEAGES[0], 0.0, 10),
)
"""Two lineages of one task, the first with contenders."""


@dataclass
class World:
    """A registry without a server, and a market whose bars grow."""

    log: Log
    application: LogApplication
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    last_bar: int = 400

    def __post_init__(self) -> None:
        self.commands = Commands(self.log, self.application, lambda: f"s{next(self.ids)}")
        self.states = States(self.application)
        self.queries = Queries(self.log)
        for series in ("AAPL", "MSFT@1h"):
            self.do("import", series, 0, False)

    def do(self, kind: str, *details: object) -> None:
        getattr(self, f"_{kind}")(*details)

    def _id(self) -> str:
        return f"r{next(self.ids)}"

    def _import(self, series: str, number: int, cut: bool) -> None:
        fact = dataset(series, f"d{number}", cut_from="d0" if cut else "")
        self.commands.register_dataset(pb.RegisterDatasetRequest(request_id=self._id(), dataset=fact), CALLER)

    def _session(self, lineage: str) -> str:
        request = pb.RequestTrainingRequest(request_id=self._id(), lineage=lineage, dataset_digest="d0")
        committed = self.commands.request_training(request, CALLER)
        return committed.events[0].stream.removeprefix("session/")

    def _leave(self, lineage: str) -> None:
        self._session(lineage)

    def _fail(self, lineage: str) -> None:
        request = pb.FailTrainingRequest(request_id=self._id(), session_id=self._session(lineage), reason="INTERNAL")
        self.commands.fail_training(request, CALLER)

    def _cancel(self, lineage: str) -> None:
        request = pb.CancelTrainingRequest(request_id=self._id(), session_id=self._session(lineage), reason="no")
        self.commands.cancel_training(request, CALLER)

    def _train(self, lineage: str, gain: float, new_bars: int) -> None:
        name = Lineage.parse(lineage)
        state, symbol = self.states.lineage(name), self.states.symbol(name.series, name.task)
        first, self.last_bar = 301, self.last_bar + new_bars
        request = pb.RecordTrainingRequest(
            request_id=self._id(),
            session_id=self._session(lineage),
            record=record(300, {"p1": 200}, parent=state.champion_name),
            expected_champion=state.champion_name,
            expected_symbol_best=symbol.best,
            last_labelled_bar=stamp(self.last_bar),
        )
        if state.champion:
            for seed, contender in enumerate(("", *state.contender_names)):
                packed = evidence(first, self.last_bar, gain, seed)
                request.comparisons.add(champion=state.champion_name, contender=contender, packed=packed)
        if symbol.best:
            for contender in ("", *state.contender_names, *filter(None, [state.champion_name])):
                packed = evidence(first, self.last_bar, -gain)
                request.symbol_comparisons.add(champion=symbol.best, contender=contender, packed=packed)
        self.commands.record_training(request, CALLER)

    def _promote(self, lineage: str, version: int) -> None:
        state = self.states.lineage(Lineage.parse(lineage))
        if version > state.versions or version == state.champion:
            return
        request = pb.PromoteModelRequest(
            request_id=self._id(),
            model=state.model(version),
            expected_champion=state.champion_name,
            reason="because",
        )
        self.commands.promote_model(request, CALLER)

    def _rollback(self, lineage: str) -> None:
        if self.states.lineage(Lineage.parse(lineage)).previous:
            request = pb.RollbackChampionRequest(
                request_id=self._id(), lineage=lineage, reason="because", despite_cause=True
            )
            self.commands.rollback_champion(request, CALLER)

    def _pattern(self, number: int) -> None:
        counts = pattern_pb2.PatternCounts(bars=300, support=90, hits=60, confidence=0.66, low=0.6, high=0.7)
        stream, session = f"pattern/p{number}", f"s{next(self.ids)}"
        known = sum(len(batch) for batch in self.log.read(Query(stream=stream)))
        pattern = pattern_pb2.Pattern(id=f"p{number}", series="AAPL", task="range", type="level", wording="a > 1")
        confirmed, person = pattern_pb2.PATTERN_STATE_CONFIRMED, decision_pb2.DECIDED_BY_PERSON
        bars = pattern_pb2.BarEvidence(dataset_digest="d0", spans=[pattern_pb2.EvidenceSpan(bars=1)])
        messages = (
            facts_pb2.PatternOffered(pattern=pattern, from_pattern_id="m1", from_series="MSFT", foreign=counts),
            facts_pb2.PatternDiscovered(
                pattern=pattern,
                session_id=session,
                lineage=LINEAGES[0],
                evidence=bars,
                after=counts,
                state=pattern_pb2.PATTERN_STATE_KEPT,
            ),
            facts_pb2.PatternValidated(
                pattern_id=pattern.id, evidence=bars, after=counts, state=confirmed, conflicting_rows=[1, 2]
            ),
            facts_pb2.PatternValidated(
                pattern_id=pattern.id, after=counts, state=pattern_pb2.PATTERN_STATE_COVERED, covered_by="p9"
            ),
            facts_pb2.PatternRetired(pattern_id=pattern.id, after=counts, decided_by=person, reason="stale"),
        )
        message = messages[known if known < len(messages) else 2]
        self.append(Fact(stream, known + 1, message))

    def _rank(self, lineage: str, features: int) -> None:
        stream = f"features/{lineage}"
        known = sum(len(batch) for batch in self.log.read(Query(stream=stream)))
        share = model_pb2.Interval(value=0.4, low=0.3, high=0.5)
        ranked = [model_pb2.RankedFeature(name=f"f{k}", rank=k, share=share) for k in range(1, features + 1)]
        message = facts_pb2.FeaturesRanked(lineage=lineage, model=f"{lineage}/v1", features=ranked)
        self.append(Fact(stream, known + 1, message))

    def append(self, fact: Fact) -> None:
        self.application.append([fact], Origin(self._id(), b"x", "tester"))


@contextmanager
def world(clock: Callable[[], datetime] = lambda: datetime(2026, 1, 1, tzinfo=UTC)) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        log = open_log(f"sqlite:///{Path(folder) / 'log.sqlite'}", TABLES, clock)
        application = LogApplication(log)
        yield World(log, application)
        application.close()
        log.close()
