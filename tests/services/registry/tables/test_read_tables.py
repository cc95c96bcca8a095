"""Read tables are views of the log: whatever happened, rebuilding gives the same, and they say what the domain says."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_samples import evidence, record, stamp

from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2, pattern_pb2
from ratchet.names import Lineage
from ratchet.registry.v1 import registry_pb2 as pb
from services.kernel.facts import Fact
from services.kernel.server import Caller
from services.registry.log import Log, LogApplication, Origin, Query, open_log
from services.registry.log.tables import live_names
from services.registry.service.commands import Commands
from services.registry.service.states import States
from services.registry.tables import TABLES, model_registry
from services.registry.tables.columns import verdict_word
from services.registry.tables.training_history import improvement_over_baseline

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
        for series in ("AAPL", "MSFT@1h"):
            self.do("import", series, 0, False)

    def do(self, kind: str, *details: object) -> None:
        getattr(self, f"_{kind}")(*details)

    def _id(self) -> str:
        return f"r{next(self.ids)}"

    def _import(self, series: str, number: int, cut: bool) -> None:
        symbol, _, timeframe = series.partition("@")
        dataset = facts_pb2.DatasetRegistered(
            symbol=symbol, timeframe=timeframe, digest=f"d{number}", rows=9, cut_from="d0" if cut else ""
        )
        self.commands.register_dataset(pb.RegisterDatasetRequest(request_id=self._id(), dataset=dataset), CALLER)

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
            request = pb.RollbackChampionRequest(request_id=self._id(), lineage=lineage, reason="because")
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
                pattern_id=pattern.id, evidence=bars, after=counts, state=confirmed, conflicting_bars=[1, 2]
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
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        log = open_log(f"sqlite:///{Path(folder) / 'log.sqlite'}", TABLES, lambda: datetime(2026, 1, 1, tzinfo=UTC))
        application = LogApplication(log)
        yield World(log, application)
        application.close()
        log.close()


@settings(max_examples=25, deadline=None)
@given(history=st.lists(steps, min_size=3, max_size=14))
def test_any_history_reads_the_same_live_rebuilt_and_folded(history: list[tuple[object, ...]]) -> None:
    with world() as played:
        for kind, *details in (*BEGUN, *history):
            played.do(str(kind), *details)
        assert_flags_are_those_of_the_domain(played)
        assert {(table.name, table.identical) for table in played.log.rebuild()} == {(t.name, True) for t in TABLES}
        assert_flags_are_those_of_the_domain(played)


def assert_flags_are_those_of_the_domain(played: World) -> None:
    rows = played.log.query("SELECT * FROM model_registry ORDER BY position")
    for lineage in LINEAGES:
        state = played.states.lineage(Lineage.parse(lineage))
        own = [row for row in rows if row["lineage"] == lineage]
        assert [row["version"] for row in own] == list(range(1, state.versions + 1))
        assert [row["model"] for row in own if row["is_lineage_champion"]] == [state.champion_name][: state.versions]
        assert {row["model"] for row in own if row["is_contender"]} == set(state.contender_names)
        assert [row["verdict"] for row in own] == [verdict_word(state.verdicts[row["version"]]) for row in own]
    for name in map(Lineage.parse, LINEAGES):
        best = played.states.symbol(name.series, name.task).best
        of_task = [row for row in rows if (row["series"], row["task"]) == (str(name.series), str(name.task))]
        assert [row["model"] for row in of_task if row["is_symbol_best"]] == ([best] if best else [])
        assert all(row["is_lineage_champion"] for row in of_task if row["is_symbol_best"])
    ended = played.log.query("SELECT model, verdict, promoted FROM training_history WHERE state = 'COMPLETED'")
    decided = {row["model"]: row["verdict"] for row in rows}
    own_verdicts = {row["model"]: row["verdict"] for row in ended}
    assert own_verdicts.keys() == decided.keys()
    assert all(decided[model] in (verdict, "PROMOTED") for model, verdict in own_verdicts.items())


def test_the_tables_hold_what_sql_readers_ask_for() -> None:
    with world() as played:
        forest = LINEAGES[0]
        for step in (("train", forest, 0.1, 0), ("train", forest, 0.1, 150)):
            played.do(*step)
        [first, second] = played.log.query("SELECT * FROM model_registry ORDER BY version")
        assert (second["parent"], second["is_lineage_champion"], second["verdict"]) == (first["model"], 1, "PROMOTED")
        assert second["improvement_over_parent_low"] > 0
        [trained] = played.log.query("SELECT * FROM training_history WHERE model = ?", (second["model"],))
        assert trained["improvement_over_parent"] == second["improvement_over_parent"]
        assert (trained["state"], trained["cpu_seconds"], trained["parent"]) == ("COMPLETED", 1.5, first["model"])
        [decision, *_] = played.log.query("SELECT * FROM decision_history WHERE model = ?", (second["model"],))
        assert (decision["champion"], decision["bars"], decision["outcome"]) == (first["model"], 250, "PROMOTED")


def test_a_pattern_is_one_row_that_says_where_it_comes_from_what_it_is_and_why() -> None:
    wanted = "state validations confidence offered_from found_by_lineage covered_by retired_by retired_reason"
    seen = []
    with world() as played:
        for _ in range(6):
            played.do("pattern", 1)
            [row] = played.log.query("SELECT * FROM knowledge_base")
            seen.append(tuple(row[name] for name in wanted.split()))
        assert {(table.name, table.identical) for table in played.log.rebuild()} == {(t.name, True) for t in TABLES}
    found_by = LINEAGES[0]
    assert seen == [
        ("OFFERED", 0, None, "m1", "", None, None, None),
        ("KEPT", 0, 0.66, "m1", found_by, None, None, None),
        ("CONFIRMED", 1, 0.66, "m1", found_by, None, None, None),
        ("COVERED", 1, 0.66, "m1", found_by, "p9", None, None),
        ("RETIRED", 1, 0.66, "m1", found_by, None, "PERSON", "stale"),
        ("CONFIRMED", 2, 0.66, "m1", found_by, None, None, None),
    ]
    assert (row["conflicting_bars"], row["support"], row["rule"]) == (4, 90, "a > 1")


class TestImprovementOverTheBaseline:
    def test_is_that_over_the_best_one(self) -> None:
        found = record(1)
        logistic = [model_pb2.Metric(name="brier", interval=model_pb2.Interval(value=0.2))]
        found.baselines.add(name="logistic", metrics=logistic)
        value, *limits = improvement_over_baseline(found)
        assert value == pytest.approx(-10.0)
        assert limits == [None, None]

    def test_takes_the_paired_interval_where_the_record_has_it(self) -> None:
        found = record(1)
        paired = model_pb2.Interval(value=12.0, low=1.0, high=20.0)
        found.baselines[0].metrics.add(name="improvement_percent", interval=paired)
        assert improvement_over_baseline(found) == (12.0, 1.0, 20.0)

    def test_is_unknown_without_baselines(self) -> None:
        assert improvement_over_baseline(model_pb2.ModelRecord()) == (None, None, None)


def test_a_decision_of_a_person_keeps_the_verdict_of_the_gate() -> None:
    with world() as played:
        for step in (("train", LINEAGES[0], 0.0, 0), ("train", LINEAGES[0], 0.0, 60), ("promote", LINEAGES[0], 2)):
            played.do(*step)
        [row] = played.log.query("SELECT * FROM model_registry WHERE is_lineage_champion = 1")
        assert (row["version"], row["verdict"]) == (2, verdict_word(decision_pb2.VERDICT_INCONCLUSIVE))


def test_a_decision_reaches_its_rows_by_what_few_rows_share() -> None:
    """By the model's name or by a flag that is set: a lineage of many versions costs what a short one costs."""
    with world() as played:
        for step in BEGUN:
            played.do(*step)
        events = [event for batch in played.log.read(Query()) for event in batch]
        updates = [one for event in events for one in model_registry.project(event) if one.sql.startswith("UPDATE")]
        plans = [
            row["detail"]
            for update in updates
            for row in played.log.query(
                "EXPLAIN QUERY PLAN " + update.sql.format_map(live_names(TABLES)), update.params
            )
        ]
    narrow = ("autoindex", "_champion ", "_contenders ", "_best ")
    assert {index for index in narrow if any(index in plan for plan in plans)} == {*narrow}
    assert [plan for plan in plans if not any(index in plan for index in narrow)] == []
