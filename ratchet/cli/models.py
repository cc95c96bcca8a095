"""ratchet models: versions, champions, comparisons and decisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click

from ratchet.cli import model_views
from ratchet.cli.as_of import TimePoint, as_of_option, print_as_of
from ratchet.cli.connect import connect
from ratchet.cli.output import HORIZON, home_option, limit_option, lines, output_option, show
from ratchet.cli.patterns import pattern_wordings
from ratchet.cli.reproduce import reproduce
from ratchet.cli.verdict import decision_lines
from ratchet.client import Client
from ratchet.errors import NotFound
from ratchet.names import DEFAULT_TARGET, Lineage, Model, Series, Task
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
@as_of_option
@home_option
@output_option
def list_(series: str | None, limit: int, as_of: TimePoint, home: str | None, output: str) -> None:
    """The versions of each lineage at a glance."""
    named = str(Series.parse(series)) if series is not None else ""
    with connect(home) as client:
        found = list(client.list_models(series=named, as_of=as_of.point))
        stale = _stale_champions(client, found, as_of) if output != "json" else ()
    print_as_of(as_of, output)
    show(found, output, lambda models: model_views.render_versions(models, limit, named, home, stale, as_of))


def _stale_champions(client: Client, found: Sequence[registry_pb2.Model], as_of: TimePoint) -> Collection[str]:
    lineages = [model.lineage for model in found if model.lineage_champion]
    champions = [client.get_champion(lineage, as_of=as_of.point) for lineage in lineages]
    return {champion.model.name for champion in champions if champion.stale}


@models.command("show")
@click.argument("model")
@as_of_option
@home_option
@output_option
def show_(model: str, as_of: TimePoint, home: str | None, output: str) -> None:
    """All that is recorded of MODEL."""
    parsed = Model.parse(model)
    with connect(home) as client:
        found = client.get_model(str(parsed), as_of=as_of.point)
        wordings = pattern_wordings(client, parsed.lineage)
    print_as_of(as_of, output)
    show(found, output, lambda one: model_views.render_model(one, wordings, home))


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
        wordings = pattern_wordings(client, one.lineage) | pattern_wordings(client, other.lineage)
    show(found, output, lambda found: model_views.render_comparison(found, wordings))


@models.command()
@click.argument("lineage")
@as_of_option
@home_option
@output_option
def champion(lineage: str, as_of: TimePoint, home: str | None, output: str) -> None:
    """The champion of LINEAGE and its contenders."""
    name = str(Lineage.parse(lineage))
    with connect(home) as client:
        found = client.get_champion(name, as_of=as_of.point)
    print_as_of(as_of, output)
    show(found, output, model_views.render_champion)


@models.command()
@click.argument("series")
@click.option("--target", default=DEFAULT_TARGET, show_default=True, help="direction, range, volatility or volume.")
@click.option("--horizon", type=HORIZON, default=None, help="Bars ahead  [default: the target's own]")
@as_of_option
@home_option
@output_option
def best(series: str, target: str, horizon: int | None, as_of: TimePoint, home: str | None, output: str) -> None:
    """The best model of SERIES over all model types."""
    name, task = str(Series.parse(series)), str(Task.of(target, horizon or 0))
    with connect(home) as client:
        found = client.get_symbol_best(name, task, as_of=as_of.point)
    print_as_of(as_of, output)
    show(found, output, model_views.render_best)


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
        promoted = client.get_model(str(name))
    show(decision, output, lambda made: lines(decision_lines(made, home, model=promoted)))


@models.command()
@click.argument("lineage")
@reason_option
@expected_option
@click.option("--despite-cause", is_flag=True, help="Also a champion that a person had set aside.")
@home_option
@output_option
def rollback(
    lineage: str, reason: str, expected: str | None, despite_cause: bool, home: str | None, output: str
) -> None:
    """Put the champion before this one back in force.

    One that a person had set aside, for a reason, comes back only with --despite-cause.
    """
    name = str(Lineage.parse(lineage))
    with connect(home) as client:
        seen = client.get_champion(name).model.name if expected is None else expected
        decision = client.rollback_champion(name, reason, seen, despite_cause=despite_cause)
    show(decision, output, lambda made: lines(decision_lines(made, home)))


@models.command()
@click.argument("lineage")
@limit_option(50, "of the newest decisions")
@as_of_option
@home_option
@output_option
def history(lineage: str, limit: int, as_of: TimePoint, home: str | None, output: str) -> None:
    """The decisions on LINEAGE with their evidence, oldest first."""
    name = str(Lineage.parse(lineage))
    with connect(home) as client:
        decided = client.list_decisions(lineage=name, as_of=as_of.point)
        found = sorted(decided, key=lambda decision: decision.position)
        if not found:
            past = f" as of {as_of}" if as_of.given else ""
            raise NotFound(f"no decisions on {name}{past}; see ratchet models list")
        first = client.get_model(f"{name}/v1", as_of=as_of.point)
    print_as_of(as_of, output)
    show(found, output, lambda decisions: model_views.render_decisions(decisions, first, limit, home, as_of))


models.add_command(reproduce)
