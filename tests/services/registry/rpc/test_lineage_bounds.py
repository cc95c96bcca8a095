"""A long lineage is read with few queries, and a decision on it reads no more than on a short one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.log import Desk, opened, plant
from bench.planted_log import PlantedLog
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import Log
from services.registry.queries import graph

BACK, FORTH = pb.LINEAGE_DIRECTION_ANCESTORS, pb.LINEAGE_DIRECTION_DESCENDANTS
VERSIONS = 120


class Asked:
    """The plans of the queries that a log was asked."""

    def __init__(self, log: Log, patch: pytest.MonkeyPatch) -> None:
        self.count, self.plans = 0, set[str]()
        self._query = log.query
        patch.setattr(log, "query", self)

    def __call__(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        self.count += 1
        self.plans |= {row["detail"] for row in self._query(f"EXPLAIN QUERY PLAN {sql}", params)}
        return self._query(sql, params)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Log, Desk]]:
    """A lineage in which each version learned from the one before it."""
    path = Path(tmp_path_factory.mktemp("chain")) / "log.sqlite"
    planted = PlantedLog(1, ("logistic",), chained=True)
    plant(path, planted, VERSIONS)
    with opened(path) as (log, application):
        log.rebuild()
        yield log, Desk(planted, log, application)


@pytest.mark.parametrize(("version", "direction"), [(VERSIONS, BACK), (1, FORTH)])
def test_all_generations_are_told_with_a_few_queries(
    chain: tuple[Log, Desk], monkeypatch: pytest.MonkeyPatch, version: int, direction: Any
) -> None:
    log, desk = chain
    asked = Asked(log, monkeypatch)
    found = graph.trace(log, f"{desk.name}/v{version}", direction, 0)
    models = [node for node in found.nodes if node.kind == "model"]
    assert [(node.id, node.depth) for node in models] == [
        (f"{desk.name}/v{version - hops if direction == BACK else version + hops}", hops) for hops in range(VERSIONS)
    ]
    assert asked.count < 30


def test_neither_the_champion_nor_a_decision_reads_every_version(
    chain: tuple[Log, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, desk = chain
    asked = Asked(log, monkeypatch)
    for call in (desk.get_champion, desk.record_training, desk.promote):
        call()
    assert not [plan for plan in asked.plans if plan.startswith("SCAN") and "USING" not in plan]
    assert not [plan for plan in asked.plans if "TEMP B-TREE" in plan and "DISTINCT" not in plan]
