"""The dashboard, the alerts and the documentation name the metrics that the services export, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from ratchet.client.services import SERVICES
from services.knowledge import bootstrap as knowledge
from services.platform.identity.roles import METHODS
from services.platform.settings import Settings
from services.predictor import bootstrap as predictor
from services.registry import bootstrap as registry
from services.trainer import bootstrap as trainer

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/ratchet.json").read_text())
ALERTS: dict[str, Any] = YAML(typ="safe", pure=True).load(DEPLOY / "alerts.yml")
PROMETHEUS: dict[str, Any] = YAML(typ="safe", pure=True).load(DEPLOY / "prometheus.yml")
OPERATIONS = ROOT / "docs/operations.md"

SCRAPED = {"up"}
"""What Prometheus itself says of a target."""
ITS_LABELS = {"instance", "job", "le"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
BOOTSTRAPS: dict[str, Any] = {"registry": registry, "knowledge": knowledge, "trainer": trainer, "predictor": predictor}
WORDS = {"by", "and", "or", "unless", "on", "without"}


@dataclass(frozen=True)
class Exported:
    """A metric as its service has it; `names` are those of its series."""

    name: str
    kind: str
    labels: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        return {self.name + suffix for suffix in SUFFIXES[self.kind]}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[Exported]]:
    """Of real services, one of each."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched, ExitStack() as stack:
        patched.setenv("RATCHET_WORKERS", "local:1")
        found: set[Exported] = set()
        for name, service in SERVICES.items():
            server, closers = BOOTSTRAPS[name].build(Settings.load(name, home, "127.0.0.1", 0))
            server.start()
            for close in closers:
                stack.callback(close)
            stack.callback(server.stop, 0)
            patched.setenv(service.variable, f"127.0.0.1:{server.port}")
            found |= set(metrics_of(server.telemetry.metrics.registry))
        yield found


def metrics_of(found: CollectorRegistry) -> Iterator[Exported]:
    labels = {
        name: tuple(getattr(collector, "_labelnames", ()))
        for collector, names in found._collector_to_names.items()
        for name in names
    }
    for family in found.collect():
        yield Exported(family.name, family.type, labels.get(family.name, ()))


def queries() -> list[str]:
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    watched = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    return shown + watched


def parts(query: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels of a query."""
    labels = {name for matchers in re.findall(r"{([^}]*)}", query) for name in re.findall(r"(\w+)\s*[=!]~?", matchers)}
    bare = re.sub(r"{[^}]*}|\[[^\]]*\]", " ", query)
    for group in re.findall(r"\bby \(([^)]*)\)", bare):
        labels |= set(re.findall(r"\w+", group))
    bare = re.sub(r"\bby \([^)]*\)", " ", bare)
    names = set(re.findall(r"\b[a-zA-Z_]\w*\b(?!\s*\()", bare))
    return names - WORDS, labels


def test_a_query_is_taken_apart() -> None:
    query = 'topk(8, sum by (le, service) (rate(a_total{code=~"x|y", b!="c"}[5m]))) > 2 and up == 0'
    assert parts(query) == ({"a_total", "up"}, {"le", "service", "code", "b"})


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_what_is_exported(exported: set[Exported], query: str) -> None:
    names, labels = parts(query)
    assert names
    known = {name: each for each in exported for name in each.names}
    assert names <= known.keys() | SCRAPED
    own = {label for name in names & known.keys() for label in known[name].labels}
    assert labels <= own | ITS_LABELS
    assert query.count("(") == query.count(")")


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_values_that_occur(query: str) -> None:
    occurring = {
        "code": {code.name for code in grpc.StatusCode},
        "method": {method.rpartition("/")[2] for method in METHODS},
        "end": {"promoted", "declined", "failed", "cancelled"},
        "job": {job["job_name"] for job in PROMETHEUS["scrape_configs"]},
    }
    for label, asked in re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', query):
        for value in asked.split("|"):
            assert any(re.fullmatch(value, known) for known in occurring[label]), f"{label} is never {value}"


def test_an_alert_speaks_of_labels_that_it_has() -> None:
    for rule in (rule for group in ALERTS["groups"] for rule in group["rules"]):
        grouped = re.search(r"\bby \(([^)]*)\)", rule["expr"])
        has = set(re.findall(r"\w+", grouped[1])) if grouped else ITS_LABELS
        said = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert said <= has, rule["alert"]


def test_every_metric_of_ours_is_shown_or_watched(exported: set[Exported]) -> None:
    asked = {name for query in queries() for name in parts(query)[0]}
    assert [each.name for each in exported if each.name.startswith("ratchet_") and not each.names & asked] == []


def test_the_documentation_lists_what_is_exported(exported: set[Exported]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]*)\|", OPERATIONS.read_text(), re.MULTILINE)
    listed = {(name, kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    assert listed == {
        (each.name + ("_total" if each.kind == "counter" else ""), each.kind, each.labels) for each in exported
    }


def test_every_alert_says_what_is_wrong_and_the_documentation_what_to_do() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}
    assert all(rule["annotations"]["summary"] for rule in rules)
    told = re.findall(r"^\| `(Ratchet\w+)` \| (\w+) \|", OPERATIONS.read_text(), re.MULTILINE)
    assert told == [(rule["alert"], rule["labels"]["severity"]) for rule in rules]


def test_the_dashboard_can_be_imported() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["source"]
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${source}"
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "no panel lies on another"


def test_prometheus_reads_the_alerts_and_scrapes_every_service() -> None:
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]
    [job] = PROMETHEUS["scrape_configs"]
    hosts = [target.partition(":")[0] for config in job["static_configs"] for target in config["targets"]]
    assert hosts == list(SERVICES)
    assert job["job_name"] == "ratchet"
