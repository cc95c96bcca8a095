"""What the other commands show, from the messages that services answer with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli import cli, lineage, model_views, trainings
from ratchet.cli.facts import read_fact
from ratchet.cli.verdict import evidence_lines
from ratchet.errors import CorruptData
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.events.v1 import decision_pb2, envelope_pb2, facts_pb2, model_pb2
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from services.local import demo

Run = Callable[..., Any]
Serve = Callable[..., str]
Captured = pytest.CaptureFixture[str]

LINEAGE = "AAPL/range/logistic"
NODE, EDGE = registry_pb2.LineageNode, registry_pb2.LineageEdge
GRAPH = registry_pb2.GetLineageResponse(
    nodes=[
        NODE(kind="model", id=f"{LINEAGE}/v2", depth=0, live=True),
        NODE(kind="model", id=f"{LINEAGE}/v1", depth=1),
        NODE(kind="dataset", id="d" * 64, label='AAPL "2010"', depth=1),
        NODE(kind="pattern", id="p1", label="rsi_14 > 70", depth=2),
    ],
    edges=[
        EDGE(source=f"{LINEAGE}/v1", target=f"{LINEAGE}/v2", relation="learned from"),
        EDGE(source="d" * 64, target=f"{LINEAGE}/v2", relation="trained on"),
        EDGE(source="d" * 64, target=f"{LINEAGE}/v1", relation="trained on"),
        EDGE(source="p1", target=f"{LINEAGE}/v1", relation="uses pattern"),
    ],
)


def event(position: int, fact: Any, topic: str = "") -> eventlog_pb2.StoredEvent:
    envelope = envelope_pb2.Envelope(
        event_id="e1", actor="ann@desk", recorded_at=Timestamp(seconds=1262304000), payload=fact.SerializeToString()
    )
    return eventlog_pb2.StoredEvent(
        position=position,
        stream="dataset/abc",
        version=1,
        topic=topic or fact.DESCRIPTOR.full_name,
        state=envelope.SerializeToString(),
    )


def test_the_trajectory_shows_each_lineage_in_order_with_its_best(capsys: Captured) -> None:
    model_views.render_versions(
        [
            registry_pb2.Model(
                lineage=LINEAGE,
                version=2,
                parent=f"{LINEAGE}/v1",
                brier=0.2412,
                accuracy=0.61,
                verdict=decision_pb2.VERDICT_PROMOTED,
                improvement_over_parent=model_pb2.Interval(value=2.1, low=0.5, high=3.7),
                lineage_champion=True,
                symbol_best=True,
                skill_shown=True,
            ),
            registry_pb2.Model(lineage=LINEAGE, version=1, verdict=decision_pb2.VERDICT_PROMOTED),
        ],
        0,
        "",
        None,
    )
    out = capsys.readouterr().out
    assert out.index("v1") < out.index("+2.1 [0.5, 3.7] %")
    assert "★ champion, ★★ best of its symbol\n" in "\n".join(line.rstrip() for line in out.splitlines()) + "\n"
    assert "no skill shown" in out
    assert "0.2412" in out


def test_a_stale_champion_is_marked_in_the_list_and_told_its_age(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [registry_pb2.Model(name=f"{LINEAGE}/v{n}", lineage=LINEAGE, version=n) for n in (1, 2)]
    versions[0].lineage_champion = True

    class Registry(registry_pb2_grpc.RegistryServiceServicer):
        def ListModels(self, request: registry_pb2.ListModelsRequest, context: Any) -> registry_pb2.ListModelsResponse:
            return registry_pb2.ListModelsResponse(models=versions)

        def GetChampion(self, request: Any, context: Any) -> registry_pb2.GetChampionResponse:
            assert request.lineage == LINEAGE
            return registry_pb2.GetChampionResponse(model=versions[0], sessions_since=3, bars_since=640, stale=True)

    add = registry_pb2_grpc.add_RegistryServiceServicer_to_server
    monkeypatch.setenv("RATCHET_REGISTRY", serve((add, Registry(), "ratchet.registry.v1.RegistryService")))
    rows = [line for line in run("models", "list").out.splitlines() if line.strip().startswith("v")]
    assert ["stale" in row for row in rows] == [True, False]
    told = run("models", "champion", LINEAGE).out
    assert "★ champion, stale" in told
    assert "since its own session: 3 sessions, 640 labelled bars" in told
    assert json.loads(run("models", "champion", LINEAGE, "-o", "json").out)["stale"] is True


def test_a_long_lineage_shows_its_newest_versions_and_the_command_for_all(capsys: Captured) -> None:
    versions = [registry_pb2.Model(lineage=LINEAGE, version=number) for number in range(1, 1235)]
    model_views.render_versions(versions, 2, "AAPL", "here")
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines() if line.strip().startswith("v")] == ["v1233", "v1234"]
    assert "1,232 older versions are left out; all of them: ratchet models list AAPL --home here --limit 0" in told
    model_views.render_versions(versions, 0, "AAPL", "here")
    assert "left out" not in capsys.readouterr().out


def test_a_rollback_by_a_person_is_called_that(capsys: Captured) -> None:
    promoted = facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_LINEAGE,
        model=f"{LINEAGE}/v1",
        decided_by=decision_pb2.DECIDED_BY_PERSON,
        rollback=True,
        reason="bad file",
    )
    first = registry_pb2.Model(name=f"{LINEAGE}/v1", lineage=LINEAGE, version=1, worse_than=["persistence@baseline"])
    model_views.render_decisions(
        [registry_pb2.Decision(position=9, actor="ann@desk", promoted=promoted)], first, 0, None
    )
    out = capsys.readouterr().out
    assert "ROLLED BACK" in out
    assert "decided by ann@desk" in out
    assert "bad file" in out


@pytest.mark.parametrize(("verdict", "told"), [("PROMOTED", False), ("INCONCLUSIVE", True)])
def test_bars_that_are_still_needed_are_told_to_those_who_were_declined(verdict: str, told: bool) -> None:
    judged = decision_pb2.Judgement(bars=9, bars_needed=412, verdict=decision_pb2.Verdict.Value(f"VERDICT_{verdict}"))
    said = "\n".join(evidence_lines(decision_pb2.Evidence(judgement=judged)))
    assert ("412" in said) is told


def test_numbers_that_are_not_defined_are_told_as_that() -> None:
    judged = decision_pb2.Judgement(bars=252, mean_difference=model_pb2.Interval(value=0.004, low=0.001, high=0.007))
    judged.refitted_difference.CopyFrom(model_pb2.Interval(value=0.001, low=-0.002, high=0.004))
    lines = [line.strip() for line in evidence_lines(decision_pb2.Evidence(judgement=judged))]
    assert lines[2:6] == [
        "paired Brier difference   +0.0040 [0.0010, 0.0070]   (above 0: better)",
        "the same, recalibrated    +0.0010 [-0.0020, 0.0040]   (above 0: more skilled)",
        "improvement               not defined",
        "AUC difference            not defined   (above 0: more skilled)",
    ]


FIRSTS = pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"brier": 0.25}, "PROMOTED"),
        ({"brier": 0.25, "worse_than": ["persistence@baseline"]}, "PROMOTED (first; worse than persistence)"),
        (
            {"brier": 0.25, "worse_than": ["base-rate@baseline", "persistence@baseline"]},
            "PROMOTED (first; worse than base rate and persistence)",
        ),
        ({}, "PROMOTED (first; no metric is defined)"),
    ],
    ids=["sound", "worse", "worse than both", "undefined"],
)


@FIRSTS
def test_wherever_a_first_model_is_promoted_its_flaw_is_told_in_the_same_line(
    first: dict[str, Any], said: str, capsys: Captured
) -> None:
    model = registry_pb2.Model(
        name=f"{LINEAGE}/v1", lineage=LINEAGE, version=1, verdict=decision_pb2.VERDICT_PROMOTED, **first
    )
    decisions = [
        registry_pb2.Decision(position=position, promoted=facts_pb2.ModelPromoted(scope=scope, model=model.name))
        for position, scope in enumerate((decision_pb2.SCOPE_LINEAGE, decision_pb2.SCOPE_SYMBOL), start=1)
    ]
    model_views.render_versions([model], 0, "", None)
    model_views.render_model(model, {}, None)
    model_views.render_decisions(decisions, model, 0, None)
    model_views.render_comparison(registry_pb2.CompareModelsResponse(model=model, other=model), {})
    training = registry_pb2.Training(
        state=registry_pb2.TRAINING_STATE_COMPLETED,
        model=model.name,
        verdict=model.verdict,
        worse_than=model.worse_than,
        improvement_over_baseline=model_pb2.Interval(value=1.0) if model.HasField("brier") else None,
    )
    trainings.render([training], 0, "", None)
    promoted = [line for line in capsys.readouterr().out.splitlines() if "PROMOTED" in line]
    assert len(promoted) == 8
    assert all(said in line for line in promoted)
    assert ("(first" in "".join(promoted)) is ("(first" in said)


@pytest.mark.parametrize(
    ("history", "said"),
    [(1364, "1,364 bars: a forecast needs as many"), (0, "whole: a forecast needs all bars of the series")],
)
def test_a_model_shows_its_history(history: int, said: str, capsys: Captured) -> None:
    record = model_pb2.ModelRecord(history=history)
    model_views.render_model(registry_pb2.Model(name=f"{LINEAGE}/v2", version=2, record=record), {}, None)
    assert f"history     {said}" in capsys.readouterr().out.splitlines()


def test_metrics_that_are_not_defined_are_told_as_that(capsys: Captured) -> None:
    undefined = [model_pb2.Metric(name=name) for name in ("brier", "accuracy", "auc")]
    baseline = model_pb2.Baseline(name="persistence@baseline", metrics=undefined)
    record = model_pb2.ModelRecord(metrics=undefined, baselines=[baseline])
    model_views.render_model(registry_pb2.Model(name=f"{LINEAGE}/v2", version=2, record=record), {}, None)
    rows = [line for line in capsys.readouterr().out.splitlines() if "not defined" in line]
    assert [row.count("not defined") for row in rows] == [3, 4]
    model_views.render_versions([registry_pb2.Model(lineage=LINEAGE, version=2)], 0, "", None)
    assert capsys.readouterr().out.count("not defined") == 2


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({"complexity_step": 3, "complexity_step_offered": 3}, "step 3 of 3 offered (110 trees, depth 14)"),
        (
            {
                "complexity_step": 2,
                "complexity_step_offered": 3,
                "smaller_step_gain": model_pb2.Interval(value=0.0042, low=0.0011, high=0.0073),
            },
            "step 2 taken of 3 offered: better on tune by +0.0042 [0.0011, 0.0073]",
        ),
    ],
    ids=["offered", "smaller"],
)
def test_the_complexity_step_offered_and_taken_is_told(steps: dict[str, Any], said: str, capsys: Captured) -> None:
    sizes = [model_pb2.Parameter(name=name, value=value) for name, value in (("depth", "14"), ("trees", "110"))]
    record = model_pb2.ModelRecord(hyperparameters=sizes, **steps)
    model_views.render_model(registry_pb2.Model(name=f"{LINEAGE}/v2", version=2, record=record), {}, None)
    assert f"complexity  {said}\n" in capsys.readouterr().out
    model_views.render_model(registry_pb2.Model(name=f"{LINEAGE}/v2", version=2), {}, None)
    assert "complexity" not in capsys.readouterr().out


def test_lineage_as_a_tree_shows_each_node_once() -> None:
    assert list(lineage.tree(GRAPH)) == [
        f"model {LINEAGE}/v2   ★",
        f"  learned from: model {LINEAGE}/v1",
        "    uses pattern: pattern p1   rsi_14 > 70",
        '  trained on: dataset dddddddddddd   AAPL "2010"',
    ]


def test_descendants_are_told_from_the_side_of_what_they_came_from() -> None:
    graph = registry_pb2.GetLineageResponse(
        nodes=[
            NODE(kind="dataset", id="d" * 64, depth=0),
            NODE(kind="model", id=f"{LINEAGE}/v1", depth=1),
            NODE(kind="model", id=f"{LINEAGE}/v2", depth=2),
        ],
        edges=[
            EDGE(source="d" * 64, target=f"{LINEAGE}/v1", relation="trained on"),
            EDGE(source=f"{LINEAGE}/v1", target=f"{LINEAGE}/v2", relation="learned from"),
        ],
    )
    assert list(lineage.tree(graph, descendants=True)) == [
        "dataset dddddddddddd",
        f"  trained: model {LINEAGE}/v1",
        f"    taught: model {LINEAGE}/v2",
    ]


def test_a_lineage_of_thousands_of_versions_can_be_shown() -> None:
    count = 5000
    graph = registry_pb2.GetLineageResponse(
        nodes=[NODE(kind="model", id=str(n), depth=n) for n in range(count)],
        edges=[EDGE(source=str(n + 1), target=str(n), relation="learned from") for n in range(count - 1)],
    )
    assert len(list(lineage.tree(graph))) == count


def test_a_large_lineage_is_cut_short_for_people_and_whole_for_programs(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Registry(registry_pb2_grpc.RegistryServiceServicer):
        def GetLineage(self, request: registry_pb2.GetLineageRequest, context: Any) -> registry_pb2.GetLineageResponse:
            return GRAPH

    add = registry_pb2_grpc.add_RegistryServiceServicer_to_server
    monkeypatch.setenv("RATCHET_REGISTRY", serve((add, Registry(), "ratchet.registry.v1.RegistryService")))
    words = ("lineage", f"{LINEAGE}/v2", "--limit", "3")
    *shown, left_out = run(*words).out.splitlines()
    assert len(shown) == 3
    assert left_out == f"1 more are left out; all of them: ratchet lineage {LINEAGE}/v2 --limit 0"
    assert len(json.loads(run(*words, "-o", "json").out)["nodes"]) == 4
    assert run(*words, "-o", "dot").out.rstrip().endswith("}")


def test_lineage_as_dot_quotes_its_labels() -> None:
    drawn = "\n".join(lineage.dot(GRAPH))
    assert '[label="AAPL \\"2010\\"", shape=cylinder]' in drawn
    assert f'"{LINEAGE}/v1" -> "{LINEAGE}/v2" [label="learned from"];' in drawn
    assert drawn.startswith("digraph lineage {")
    assert drawn.endswith("}")


def test_an_empty_lineage_is_an_empty_tree() -> None:
    assert list(lineage.tree(registry_pb2.GetLineageResponse())) == []


@pytest.mark.parametrize("topic", ["ratchet.events.v1.Unheard", "ratchet.registry.v1.Model", "x"])
def test_an_event_of_an_unknown_topic_is_named_by_its_position(topic: str) -> None:
    with pytest.raises(CorruptData, match=f"position 3 is not a {topic} that"):
        read_fact(event(3, facts_pb2.DatasetRegistered(), topic=topic))


def test_bytes_that_are_no_envelope_are_corrupt_data() -> None:
    broken = event(3, facts_pb2.DatasetRegistered())
    broken.state = b"\xff\xff\xff"
    with pytest.raises(CorruptData):
        read_fact(broken)


class Log(eventlog_pb2_grpc.EventLogServiceServicer):
    """Three events; the rebuilt tables are as `identical` says."""

    def __init__(self, identical: bool = True) -> None:
        self.identical = identical
        self.events = [event(n, facts_pb2.DatasetRegistered(symbol="AAPL", rows=n)) for n in (1, 2, 3)]

    def Read(self, request: eventlog_pb2.ReadRequest, context: Any) -> Any:
        found = [e for e in self.events if request.start <= e.position <= (request.stop or 3)]
        ordered = found[::-1] if request.descending else found
        yield eventlog_pb2.ReadResponse(events=ordered[: request.limit or None])

    def Export(self, request: eventlog_pb2.ExportRequest, context: Any) -> Any:
        yield eventlog_pb2.ExportResponse(events=self.events)

    def GetHead(self, request: eventlog_pb2.GetHeadRequest, context: Any) -> eventlog_pb2.GetHeadResponse:
        return eventlog_pb2.GetHeadResponse(position=3)

    def Rebuild(self, request: eventlog_pb2.RebuildRequest, context: Any) -> eventlog_pb2.RebuildResponse:
        table = eventlog_pb2.RebuiltTable(name="model_registry", rows=7, identical=self.identical)
        return eventlog_pb2.RebuildResponse(position=3, tables=[table])


@pytest.fixture
def served(serve: Serve, monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[[Log], Run]:
    def start(service: Log) -> Run:
        add = eventlog_pb2_grpc.add_EventLogServiceServicer_to_server
        monkeypatch.setenv("RATCHET_REGISTRY", serve((add, service, "ratchet.eventlog.v1.EventLogService")))
        return run

    return start


def test_tail_shows_the_newest_with_the_oldest_first(served: Callable[[Log], Run]) -> None:
    run = served(Log())
    found = json.loads(run("log", "tail", "--limit", "2", "-o", "json").out)
    assert [each["position"] for each in found] == [2, 3]
    assert found[0]["actor"] == "ann@desk"
    assert "DatasetRegistered" in run("log", "tail").out


def test_export_is_one_line_an_event_from_the_first(served: Callable[[Log], Run]) -> None:
    out = served(Log())("log", "export").out
    assert [json.loads(line)["position"] for line in out.splitlines()] == [1, 2, 3]


def test_an_event_is_shown_with_its_payload_and_one_past_the_end_is_not_found(served: Callable[[Log], Run]) -> None:
    run = served(Log())
    assert json.loads(run("log", "show", "2", "-o", "json").out)["payload"]["rows"] == 2
    beyond = run("log", "show", "4")
    assert beyond.code == 3
    assert "the log ends at 3" in beyond.err


def test_numbers_that_no_log_can_hold_are_usage_errors(run: Run) -> None:
    huge = str(10**20)
    for words in (("show", huge), ("tail", "--limit", huge), ("export", "--stop", huge)):
        assert run("log", *words).code == 2
    assert "lies before" in run("log", "export", "--start", "9", "--stop", "8").err


def test_a_rebuild_that_finds_a_difference_fails(served: Callable[[Log], Run]) -> None:
    assert served(Log())("log", "rebuild").code == 0
    ran = served(Log(identical=False))("log", "rebuild")
    assert ran.code == 7
    assert "DIFFERENT" in ran.out
    assert "model_registry" in ran.err


@pytest.mark.parametrize("words", [*demo.steps(Path("ratchet/data/AAPL.csv")), *demo.SUGGESTED])
def test_every_command_that_the_demo_prints_can_be_parsed(words: tuple[str, ...]) -> None:
    name, command, rest = cli.resolve_command(click.Context(cli), [*words, "--home", "somewhere"])
    while isinstance(command, click.Group):
        with click.Context(command) as ctx:
            name, command, rest = command.resolve_command(ctx, rest)
    assert command is not None
    assert command.make_context(name, rest).params["home"] == "somewhere"


def test_the_demo_refuses_what_it_would_overwrite_or_can_not_find(run: Run, tmp_path: Path) -> None:
    assert "elsewhere/AAPL.csv does not exist" in run("demo", "--data", "elsewhere").err
    (tmp_path / "AAPL.csv").touch()
    (tmp_path / "log.sqlite").touch()
    ran = run("demo", "--data", str(tmp_path), "--home", str(tmp_path))
    assert ran.code == 4
    assert "holds data already" in ran.err


def test_the_demo_leaves_other_services_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "AAPL.csv").touch()
    monkeypatch.setenv("RATCHET_REGISTRY", "prod:7301")
    ran = run("demo", "--data", str(tmp_path))
    assert ran.code == 4
    assert "RATCHET_REGISTRY" in ran.err
