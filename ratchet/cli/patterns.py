"""ratchet patterns: patterns with their confidence and history."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import click

from ratchet.cli import pattern_text
from ratchet.cli.as_of import TimePoint, as_of_option, known_before_option, print_as_of, require_recorded
from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import HORIZON, home_option, limit_option, lines, output_option, show
from ratchet.cli.pattern_list import PatternQuery, render_list
from ratchet.cli.pattern_offers import OfferResult, model_type_for, offer_to, raise_refusals, render_offers
from ratchet.cli.pattern_rates import render_rates
from ratchet.cli.pattern_views import ModelUse, PatternView, model_uses, render_one, use_lines
from ratchet.errors import Unreachable
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage, Series, Task, one_of

if TYPE_CHECKING:
    from ratchet.client import Client

TYPES = ("level", "cross", "calendar", "volume", "candle", "combination")

target_option = click.option("--target", default="", help="Of this target only.")
horizon_option = click.option(
    "--horizon", type=HORIZON, default=None, help="Bars ahead, with --target  [default: the target's own]"
)
reason_option = click.option("--reason", required=True, help="Why, for the log.")


def pattern_wordings(client: Client, lineage: Lineage) -> dict[str, str]:
    """The sentence of each pattern of a lineage's series and task, by its column name and by its id."""
    with contextlib.suppress(Unreachable):
        known = client.list_patterns(series=str(lineage.series), task=str(lineage.task))
        wordings = {found.pattern.id: found.pattern.wording for found in known}
        return wordings | {f"rule:{id_}": wording for id_, wording in wordings.items()}
    return {}


@click.group()
def patterns() -> None:
    """What has been learned, and how sure it is."""


@patterns.command("list")
@click.argument("series", required=False)
@target_option
@horizon_option
@click.option("--all", "everything", is_flag=True, help="Retired, refuted, covered and offered ones too.")
@click.option("--type", "kind", default="", metavar="TYPE", help=f"Of one type only: {', '.join(TYPES)}.")
@limit_option(30, "of the surest")
@as_of_option
@known_before_option
@home_option
@output_option
def list_(
    series: str | None,
    target: str,
    horizon: int | None,
    everything: bool,
    kind: str,
    limit: int,
    as_of: TimePoint,
    known_before: TimePoint,
    home: str | None,
    output: str,
) -> None:
    """The patterns in force, the surest first.

    Of SERIES or of all; kept and confirmed ones, which new models use.
    """
    named, task = _scope(series, target, horizon)
    query = PatternQuery(
        named, task, one_of("type", kind, TYPES) if kind else "", everything, as_of, known_before, home
    )
    with connect(home) as client:
        head = client.get_head().position
        require_recorded(as_of, head, home)
        known = list(
            client.list_patterns(
                series=named,
                task=task,
                known_before=known_before.time,
                as_of=as_of.point,
                min_position=head,
            )
        )
    chosen = query.select(known)
    in_list = {found.pattern.id for found in chosen}
    others = Counter(
        pattern_text.state_of(found.state)
        for found in known
        if found.pattern.id not in in_list and kind in ("", found.pattern.type)
    )
    print_as_of(as_of, output, known_before)
    show(chosen, output, lambda found: render_list(found, others, query, limit))


@patterns.command("show")
@click.argument("pattern_id", metavar="ID")
@as_of_option
@known_before_option
@home_option
@output_option
def show_(pattern_id: str, as_of: TimePoint, known_before: TimePoint, home: str | None, output: str) -> None:
    """One pattern, its evidence and history.

    And the models that use it. The beginning of an ID is enough.
    """
    with connect(home) as client:
        head = client.get_head().position
        require_recorded(as_of, head, home)
        answer = client.get_pattern(
            pattern_id,
            known_before=known_before.time,
            as_of=as_of.point,
            min_position=head,
        )
        found = PatternView(answer, _uses(client, answer.pattern), model_type_for(client, answer.pattern))
    print_as_of(as_of, output, known_before)
    past = as_of.given or known_before.given
    show(found.as_json(), output, lambda _: render_one(found, past, home))


@patterns.command()
@click.argument("pattern_id", metavar="ID")
@click.option("--to", "to", required=True, multiple=True, metavar="SERIES", help="The series; may be given repeatedly.")
@reason_option
@home_option
@output_option
def offer(pattern_id: str, to: tuple[str, ...], reason: str, home: str | None, output: str) -> None:
    """Offer a pattern to other series.

    It is a candidate there, shown with its evidence as foreign, and kept only by evidence of their own.
    """
    named = [str(Series.parse(series)) for series in dict.fromkeys(to)]
    with connect(home) as client:
        offered: list[OfferResult] = [offer_to(client, pattern_id, series, reason) for series in named]
    if output == "json" or any(one.known for one in offered):
        show([one.as_json() for one in offered], output, lambda _: render_offers(offered, home))
    raise_refusals(offered)


@patterns.command()
@click.argument("pattern_id", metavar="ID")
@reason_option
@home_option
@output_option
def retire(pattern_id: str, reason: str, home: str | None, output: str) -> None:
    """Retire a pattern: new models do not use it.

    Models that were trained with it keep it in its frozen form.
    """
    with connect(home) as client:
        before = client.get_pattern(pattern_id, min_position=client.get_head().position).pattern
        found = client.retire_pattern(before.pattern.id, reason)
        uses = _uses(client, found)
    show(found, output, lambda known: _render_retired(known, pattern_text.state_of(before.state), uses, home))


@patterns.command()
@click.argument("series", required=False)
@target_option
@horizon_option
@as_of_option
@home_option
@output_option
def rates(
    series: str | None, target: str, horizon: int | None, as_of: TimePoint, home: str | None, output: str
) -> None:
    """What became of the rules that were tested.

    By type, by series and overall.
    """
    named, task = _scope(series, target, horizon)
    with connect(home) as client:
        head = client.get_head().position
        require_recorded(as_of, head, home)
        found = client.list_success_rates(series=named, task=task, as_of=as_of.point, min_position=head)
    print_as_of(as_of, output)
    show(list(found), output, lambda rates: render_rates(rates, named, home))


def _scope(series: str | None, target: str, horizon: int | None) -> tuple[str, str]:
    """Series and task; empty if not given."""
    if horizon and not target:
        raise click.UsageError("--horizon needs --target")
    return str(Series.parse(series)) if series is not None else "", str(Task.of(target, horizon or 0)) if target else ""


def _uses(client: Client, known: knowledge_pb2.KnownPattern) -> list[ModelUse]:
    return model_uses(client.get_lineage(known.pattern.id, descendants=True, depth=1))


def _render_retired(known: knowledge_pb2.KnownPattern, before: str, uses: list[ModelUse], home: str | None) -> None:
    counts = known.counts
    click.echo(f"{known.pattern.wording}   was {before}, is {pattern_text.state_of(known.state)}")
    click.echo(
        f"  {pattern_text.scope(known)}, confidence {pattern_text.confidence(counts)}, base {pattern_text.base(counts)}"
    )
    click.echo("  new models do not use it; only bars recorded from now on may bring it back")
    if uses:
        click.echo("  these were trained with it and keep it, frozen as it was:")
        lines(f"    {line}" for line in use_lines(uses))
    else:
        click.echo("  no model was trained with it")
    click.echo("next: " + command_line(home, "patterns", "show", known.pattern.id))
