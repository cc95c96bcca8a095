"""--as-of reaches the registry with every read, and the answer says of which clock it speaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli import lineage
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc

Run = Callable[..., Any]
Serve = Callable[..., str]

LINEAGE = "AAPL/range/logistic"
MODEL = registry_pb2.Model(name=f"{LINEAGE}/v1", lineage=LINEAGE, version=1)
ASKED = (
    ("models", "list"),
    ("models", "champion", LINEAGE),
    ("models", "best", "AAPL", "--target", "range"),
    ("models", "history", LINEAGE),
    ("trainings", "list"),
    ("data", "list"),
    ("data", "show", "AAPL"),
    ("lineage", f"{LINEAGE}/v1"),
    ("lineage", f"{LINEAGE}/v1", "--descendants"),
)


def moment(day: int, hour: int = 0) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(datetime(2026, 3, day, hour, tzinfo=UTC))
    return found


def reign(scope: decision_pb2.Scope.ValueType, begin: int, end: int = 0) -> registry_pb2.Reign:
    found = registry_pb2.Reign(scope=scope, from_position=begin, to_position=end)
    getattr(found, "from").CopyFrom(moment(begin))
    if end:
        found.to.CopyFrom(moment(end))
    return found


GRAPH = registry_pb2.GetLineageResponse(
    nodes=[
        registry_pb2.LineageNode(kind="dataset", id="d" * 64),
        registry_pb2.LineageNode(
            kind="model",
            id=f"{LINEAGE}/v1",
            depth=1,
            reigns=[reign(decision_pb2.SCOPE_LINEAGE, 3, 9), reign(decision_pb2.SCOPE_SYMBOL, 4, 9)],
        ),
        registry_pb2.LineageNode(
            kind="model", id=f"{LINEAGE}/v2", depth=1, live=True, reigns=[reign(decision_pb2.SCOPE_LINEAGE, 9)]
        ),
        registry_pb2.LineageNode(kind="model", id=f"{LINEAGE}/v3", depth=2),
    ],
    edges=[registry_pb2.LineageEdge(source="d" * 64, target=f"{LINEAGE}/v1", relation="trained on")],
)


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Answers everything, and remembers as of when it was asked."""

    def __init__(self) -> None:
        self.asked: list[Message] = []

    def _heard(self, request: Any) -> None:
        self.asked.append(request.as_of if request.HasField("as_of") else None)

    def ListModels(self, request: Any, context: Any) -> registry_pb2.ListModelsResponse:
        self._heard(request)
        return registry_pb2.ListModelsResponse(models=[MODEL])

    def GetModel(self, request: Any, context: Any) -> registry_pb2.GetModelResponse:
        self._heard(request)
        return registry_pb2.GetModelResponse(model=MODEL)

    def GetChampion(self, request: Any, context: Any) -> registry_pb2.GetChampionResponse:
        self._heard(request)
        return registry_pb2.GetChampionResponse(model=MODEL)

    def GetSymbolBest(self, request: Any, context: Any) -> registry_pb2.GetSymbolBestResponse:
        self._heard(request)
        return registry_pb2.GetSymbolBestResponse(model=MODEL)

    def ListDecisions(self, request: Any, context: Any) -> registry_pb2.ListDecisionsResponse:
        self._heard(request)
        promoted = facts_pb2.ModelPromoted(model=MODEL.name, reason="first", decided_by=1)
        return registry_pb2.ListDecisionsResponse(decisions=[registry_pb2.Decision(position=9, promoted=promoted)])

    def ListTrainings(self, request: Any, context: Any) -> registry_pb2.ListTrainingsResponse:
        self._heard(request)
        return registry_pb2.ListTrainingsResponse(trainings=[registry_pb2.Training(session_id="s1", lineage=LINEAGE)])

    def ListDatasets(self, request: Any, context: Any) -> registry_pb2.ListDatasetsResponse:
        self._heard(request)
        return registry_pb2.ListDatasetsResponse(datasets=[registry_pb2.Dataset(series="AAPL")])

    def GetLineage(self, request: Any, context: Any) -> registry_pb2.GetLineageResponse:
        self._heard(request)
        return GRAPH


@pytest.fixture
def registry(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Registry:
    found, add = Registry(), registry_pb2_grpc.add_RegistryServiceServicer_to_server
    monkeypatch.setenv("RATCHET_REGISTRY", serve((add, found, "ratchet.registry.v1.RegistryService")))
    return found


@pytest.mark.parametrize("command", ASKED, ids=" ".join)
def test_every_read_passes_the_moment_on_and_says_it(registry: Registry, run: Run, command: tuple[str, ...]) -> None:
    told = run(*command, "--as-of", "120").out
    assert told.startswith("as of log position 120 (log time)\n")
    run(*command, "--as-of", "2026-03-03T16:00:00Z")
    assert "as of" not in run(*command).out
    positions = [
        found.position for found in registry.asked if found is not None and found.WhichOneof("point") == "position"
    ]  # type: ignore[attr-defined]
    times = [found.time for found in registry.asked if found is not None and found.WhichOneof("point") == "time"]  # type: ignore[attr-defined]
    assert set(positions) == {120}
    assert times[0] == moment(3, 16)
    assert registry.asked[-1] is None


def test_beside_json_and_dot_the_moment_is_said_on_stderr(registry: Registry, run: Run) -> None:
    told = run("models", "champion", LINEAGE, "--as-of", "120", "-o", "json")
    assert json.loads(told.out)["model"]["name"] == MODEL.name
    assert told.err.startswith("as of log position 120")
    assert run("lineage", MODEL.name, "--as-of", "120", "-o", "dot").out.startswith("digraph")


def test_the_blast_radius_comes_first(registry: Registry, run: Run) -> None:
    assert list(lineage.summary(GRAPH)) == [
        "3 models learned from it, 1 is live, 2 were champion:",
        f"  {LINEAGE}/v1   champion from 2026-03-03T00:00:00Z (position 3) to 2026-03-09T00:00:00Z (position 9)",
        f"  {LINEAGE}/v1   best of its symbol from 2026-03-04T00:00:00Z (position 4)"
        " to 2026-03-09T00:00:00Z (position 9)",
        f"  {LINEAGE}/v2   champion from 2026-03-09T00:00:00Z (position 9), still",
    ]
    told = run("lineage", "d" * 64, "--descendants").out
    assert told.startswith("3 models learned from it")
    assert "learned from it" not in run("lineage", "d" * 64).out
