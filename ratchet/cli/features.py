"""ratchet features: the importance of features over the versions of a lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import home_option, interval, limit_option, newest, output_option, say_left_out, show, table
from ratchet.cli.patterns import in_words
from ratchet.errors import NotFound
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage


@click.command()
@click.argument("lineage")
@limit_option(6, "of the newest versions")
@home_option
@output_option
def features(lineage: str, limit: int, home: str | None, output: str) -> None:
    """The share of each feature in the importance of each version of LINEAGE."""
    parsed = Lineage.parse(lineage)
    name = str(parsed)
    with connect(home) as client:
        found = list(client.list_feature_history(name, min_position=client.get_head().position))
        versions = {model.session_id: f"v{model.version}" for model in client.list_models(lineage=name)}
        wordings = in_words(client, parsed)
    if not found:
        raise NotFound(f"no ranked features of {name}; see ratchet models list")
    ordered = sorted(found, key=lambda ranking: ranking.position)
    show(ordered, output, lambda rankings: render(newest(rankings, limit), versions, wordings))
    if output == "table":
        left_out = len(found) - len(newest(found, limit))
        say_left_out(left_out, "older versions are left out", command_line(home, "features", name))


def render(
    rankings: Sequence[knowledge_pb2.FeatureRanking], versions: Mapping[str, str], wordings: Mapping[str, str]
) -> None:
    """Features by their newest rank, a column a session, headed by the version that it made; patterns in words."""
    newest_first = [feature for ranking in reversed(rankings) for feature in ranking.features]
    names = dict.fromkeys(feature.name for feature in newest_first)
    shares = [
        {feature.name: interval(feature.share, 2) + (" ·" if feature.useless else "  ") for feature in ranking.features}
        for ranking in rankings
    ]
    headings = [f">{versions.get(ranking.session_id, ranking.session_id[:8])}" for ranking in rankings]
    rows = [(wordings.get(name, name), *(found.get(name, "") for found in shares)) for name in names]
    table("Share of importance [95 %]; · useless", ("feature", *headings), rows)
