"""Read tables are views of the log: whatever happened, rebuilding gives the same, and they say what the domain says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.names import Lineage
from services.registry.eventlog import Query
from services.registry.eventlog.read_tables import TableNames
from services.registry.projections import TABLES
from services.registry.projections.columns import verdict_word
from services.registry.projections.training_history import improvement_over_baseline
from services.registry.queries.rows_at import MODELS
from tests.support.registry_model import BEGUN, LINEAGES, World, steps, world
from tests.support.registry_samples import record


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
    rows = played.log.query(f"SELECT * FROM {MODELS} WHERE valid_to IS NULL ORDER BY position")
    for lineage in LINEAGES:
        state = played.states.lineage(Lineage.parse(lineage))
        own = [row for row in rows if row["lineage"] == lineage]
        assert [row["version"] for row in own] == list(range(1, state.versions + 1))
        assert [row["model"] for row in own if row["is_lineage_champion"]] == [state.champion_name][: state.versions]
        assert {row["model"] for row in own if row["is_contender"]} == set(state.contender_names)
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
        [first, second] = played.log.query(f"SELECT * FROM {MODELS} WHERE valid_to IS NULL ORDER BY version")
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
        [row] = played.log.query(f"SELECT * FROM {MODELS} WHERE is_lineage_champion = 1 AND valid_to IS NULL")
        assert (row["version"], row["verdict"]) == (2, verdict_word(decision_pb2.VERDICT_INCONCLUSIVE))


def test_a_decision_reaches_its_rows_by_what_few_rows_share() -> None:
    """By the model's name or by a flag that is set: a lineage of many versions costs what a short one costs."""
    with world() as played:
        for step in BEGUN:
            played.do(*step)
        events = [event for batch in played.log.read(Query()) for event in batch]
        written = (one for event in events for table in TABLES for one in table.project(event))
        updates = [one for one in written if one.sql.startswith("UPDATE")]
        plans = [
            row["detail"]
            for update in updates
            for row in played.log.query("EXPLAIN QUERY PLAN " + TableNames(TABLES).sql(update.sql), update.params)
            if not row["detail"].startswith("SCALAR SUBQUERY")
        ]
    narrow = (
        "autoindex",
        "model_registry_by_version ",
        "model_states_now ",
        "_champion ",
        "_contenders ",
        "_best ",
        "champion_history_in_lineage ",
        "champion_history_in_task ",
        "dataset_history_latest ",
        "dataset_history_by_digest ",
    )
    assert {index for index in narrow if any(index in plan for plan in plans)} == {*narrow}
    assert [plan for plan in plans if not any(index in plan for index in narrow)] == []
