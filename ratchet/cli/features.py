"""ratchet features: the importance of features over the versions of a lineage."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ratchet.cli.as_of import TimePoint, as_of_option, print_as_of, require_recorded
from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import (
    enum_word,
    fixed,
    home_option,
    interval,
    limit_option,
    lines,
    newest,
    output_option,
    print_omitted,
    show,
    table,
)
from ratchet.cli.pattern_text import short_id
from ratchet.cli.sparkline import sparkline
from ratchet.errors import NotFound, Unreachable
from ratchet.events.v1 import model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage

if TYPE_CHECKING:
    from ratchet.client import Client

BASE = model_pb2.FEATURE_SOURCE_BASE
RULE = "rule:"
TITLE = "Share of importance [95 %]; · useless; trend: ▁ 0, █ {largest}"


@dataclass(frozen=True)
class Origin:
    """Origin of a feature: `base`, `library` or `pattern`, and the pattern that it is or that added it."""

    source: str
    pattern: pattern_pb2.Pattern | None = None

    def __str__(self) -> str:
        return f"by {short_id(self.pattern.id)}" if self.pattern and self.source == "library" else self.source


@click.command()
@click.argument("lineage")
@limit_option(6, "of the newest versions")
@as_of_option
@home_option
@output_option
def features(lineage: str, limit: int, as_of: TimePoint, home: str | None, output: str) -> None:
    """The share of each feature in the importance of each version of LINEAGE."""
    parsed = Lineage.parse(lineage)
    name = str(parsed)
    with connect(home) as client:
        head = client.get_head().position
        require_recorded(as_of, head, home)
        found = list(client.list_feature_history(name, as_of=as_of.point, min_position=head))
        if not found:
            past = f" by {as_of}" if as_of.given else ""
            raise NotFound(f"no ranked features of {name}{past}; see {command_line(home, 'models', 'list')}")
        ordered = sorted(found, key=lambda ranking: ranking.position)
        versions = {model.session_id: f"v{model.version}" for model in client.list_models(lineage=name)}
        origins = _origins(client, parsed, versions.get(ordered[-1].session_id)) if output == "table" else {}
    print_as_of(as_of, output)
    show(ordered, output, lambda rankings: render(newest(rankings, limit), versions, origins))
    if output == "table":
        left_out = len(found) - len(newest(found, limit))
        again = command_line(home, "features", name, *as_of.arguments)
        print_omitted(left_out, "older versions are left out", again)


def _origins(client: Client, lineage: Lineage, version: str | None) -> dict[str, Origin]:
    known: list[pattern_pb2.Pattern] = []
    with contextlib.suppress(Unreachable):
        known = [each.pattern for each in client.list_patterns(series=str(lineage.series), task=str(lineage.task))]
    record = client.get_model(f"{lineage}/{version}").record if version else model_pb2.ModelRecord()
    return feature_origins(record, known)


def feature_origins(record: model_pb2.ModelRecord, known: Sequence[pattern_pb2.Pattern]) -> dict[str, Origin]:
    """Origins of a model's features, and of each pattern as a feature; `known`: the patterns of its series and task."""
    used = {use.pattern_id for use in record.patterns_used}
    named_by = {
        condition.feature: pattern
        for pattern in reversed(known)
        if pattern.id in used
        for condition in pattern.rule.conditions
    }
    named = {
        feature.name: Origin(_source(feature), named_by.get(feature.name) if feature.source != BASE else None)
        for feature in record.features
    }
    return named | {f"{RULE}{pattern.id}": Origin("pattern", pattern) for pattern in known}


def _source(feature: model_pb2.Feature) -> str:
    return enum_word(model_pb2.FeatureSource.Name(feature.source), "FEATURE_SOURCE_").lower()


def render(
    rankings: Sequence[knowledge_pb2.FeatureRanking], versions: Mapping[str, str], origins: Mapping[str, Origin]
) -> None:
    """Prints features by their newest rank, one column per session, headed by its version; the rules of patterns below.

    Only the newest column has intervals.
    """
    newest_first = [feature for ranking in reversed(rankings) for feature in ranking.features]
    names = dict.fromkeys(feature.name for feature in newest_first)
    shares = [{feature.name: feature.share.value for feature in ranking.features} for ranking in rankings]
    cells = [
        {feature.name: _cell(feature, ranking is rankings[-1]) for feature in ranking.features} for ranking in rankings
    ]
    largest = max((feature.share.value for feature in newest_first), default=0.0)
    headings = [f">{versions.get(ranking.session_id, ranking.session_id[:8])}" for ranking in rankings]
    rows = [
        (
            f"pattern {short_id(name.removeprefix(RULE))}" if name.startswith(RULE) else name,
            str(origins.get(name, "")),
            sparkline([found.get(name) for found in shares], 0.0, largest),
            *(found.get(name, "") for found in cells),
        )
        for name in names
    ]
    table(TITLE.format(largest=fixed(largest, 2)), ("feature", "from", "trend", *headings), rows)
    patterns = {origin.pattern.id: origin.pattern for name in names if (origin := origins.get(name)) and origin.pattern}
    lines(f"{short_id(pattern.id)}   {pattern.wording}" for pattern in patterns.values())


def _cell(feature: model_pb2.RankedFeature, whole: bool) -> str:
    share = interval(feature.share, 2) if whole else fixed(feature.share.value, 2)
    return f"{share} {'·' if feature.useless else ' '}"
