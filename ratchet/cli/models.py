"""ratchet models: versions, champions, comparisons and decisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

from ratchet.cli import model_views
from ratchet.cli.connect import connect
from ratchet.cli.output import HORIZON, home_option, limit_option, lines, output_option, show
from ratchet.cli.patterns import in_words
from ratchet.cli.verdict import decision_lines
from ratchet.client import Client
from ratchet.errors import NotFound
from ratchet.names import Lineage, Model, Series, Task
from ratchet.registry.v1 import registry_pb2

reason_option = click.option("--reason", required=True, help="Why, for the log.")
expected_option = click.option(
    "--expected", default=None, metavar="MODEL", help="The champion that you saw  [default: the one in force]"
)


@click.group()
def models() -> None:
    """Versions, champions, comparisons and decisions."""


@models.command("list")
@click.argument("series", required=False)
@limit_option(50, "of the newest versions of each lineage")
@home_option
@output_option
def list_(series: str | None, limit: int, home: str | None, output: str) -> None:
    """The versions of each lineage at a glance."""
    named = str(Series.parse(series)) if series is not None else ""
    with connect(home) as client:
        found = list(client.list_models(series=named))
        stale = _stale_champions(client, found) if output != "json" else ()
    show(found, output, lambda models: model_views.trajectory(models, limit, named, home, stale))


def _stale_champions(client: Client, found: Sequence[registry_pb2.Model]) -> Collection[str]:
    champions = [client.get_champion(model.lineage) for model in found if model.lineage_champion]
    return {champion.model.name for champion in champions if champion.stale}


@models.command("show")
@click.argument("model")
@home_option
@output_option
def show_(model: str, home: str | None, output: str) -> None:
    """All that is recorded of MODEL."""
    parsed = Model.parse(model)
    with connect(home) as client:
        found = client.get_model(str(parsed))
        wordings = in_words(client, parsed.lineage)
    show(found, output, lambda one: model_views.one(one, wordings, home))


@models.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@home_option
@output_option
def compare(a: str, b: str, home: str | None, output: str) -> None:
    """Features, patterns and paired evidence of A and B."""
    one, other = Model.parse(a), Model.parse(b)
    with connect(home) as client:
        found = client.compare_models(str(one), str(other))
        wordings = in_words(client, one.lineage) | in_words(client, other.lineage)
    show(found, output, lambda found: model_views.comparison(found, wordings))


@models.command()
@click.argument("lineage")
@home_option
@output_option
def champion(lineage: str, home: str | None, output: str) -> None:
    """The champion of LINEAGE and its contenders."""
    name = str(Lineage.parse(lineage))
    with connect(home) as client:
        found = client.get_champion(name)
    show(found, output, model_views.champion)


@models.command()
@click.argument("series")
@click.option("--target", default="direction", show_default=True, help="direction, range, volatility or volume.")
@click.option("--horizon", type=HORIZON, default=None, help="Bars ahead  [default: the target's own]")
@home_option
@output_option
def best(series: str, target: str, horizon: int | None, home: str | None, output: str) -> None:
    """The best model of SERIES over all model types."""
    name, task = str(Series.parse(series)), str(Task.of(target, horizon or 0))
    with connect(home) as client:
        found = client.get_symbol_best(name, task)
    show(found, output, model_views.best)


@models.command()
@click.argument("model")
@reason_option
@expected_option
@home_option
@output_option
def promote(model: str, reason: str, expected: str | None, home: str | None, output: str) -> None:
    """Make MODEL the champion, whatever the gate said."""
    name = Model.parse(model)
    with connect(home) as client:
        seen = client.get_champion(str(name.lineage)).model.name if expected is None else expected
        decision = client.promote_model(str(name), reason, seen)
    show(decision, output, lambda made: lines(decision_lines(made)))


@models.command()
@click.argument("lineage")
@reason_option
@expected_option
@home_option
@output_option
def rollback(lineage: str, reason: str, expected: str | None, home: str | None, output: str) -> None:
    """Put the champion before this one back in force."""
    name = str(Lineage.parse(lineage))
    with connect(home) as client:
        seen = client.get_champion(name).model.name if expected is None else expected
        decision = client.rollback_champion(name, reason, seen)
    show(decision, output, lambda made: lines(decision_lines(made)))


@models.command()
@click.argument("lineage")
@limit_option(50, "of the newest decisions")
@home_option
@output_option
def history(lineage: str, limit: int, home: str | None, output: str) -> None:
    """The decisions on LINEAGE with their evidence, oldest first."""
    name = str(Lineage.parse(lineage))
    with connect(home) as client:
        found = sorted(client.list_decisions(lineage=name), key=lambda decision: decision.position)
    if not found:
        raise NotFound(f"no decisions on {name}; see ratchet models list")
    show(found, output, lambda decisions: model_views.decisions(decisions, limit, name, home))
