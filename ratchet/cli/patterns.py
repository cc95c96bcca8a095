"""ratchet patterns: what has been learned, how sure it is, and since when."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import HORIZON, day, home_option, number, output_option, show, table, when, word
from ratchet.cli.verdict import LIVE_STATES
from ratchet.errors import Unreachable
from ratchet.events.v1 import pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.names import Lineage, Series, Task

if TYPE_CHECKING:
    from ratchet.client import Client


def in_words(client: Client, lineage: Lineage) -> dict[str, str]:
    """The rule of each pattern of a lineage's series and task, by the name of its column and by its id."""
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
@click.option("--target", default="", help="Of this target only.")
@click.option("--horizon", type=HORIZON, default=None, help="Bars ahead, with --target  [default: the target's own]")
@click.option("--all", "everything", is_flag=True, help="Refuted and retired ones too.")
@home_option
@output_option
def list_(
    series: str | None, target: str, horizon: int | None, everything: bool, home: str | None, output: str
) -> None:
    """The kept and confirmed patterns, of SERIES or of all."""
    if horizon and not target:
        raise click.UsageError("--horizon needs --target")
    named = str(Series.parse(series)) if series is not None else ""
    task = str(Task.of(target, horizon or 0)) if target else ""
    with connect(home) as client:
        head = client.get_head().position
        found = [
            known
            for known in client.list_patterns(series=named, task=task, min_position=head)
            if everything or known.state in LIVE_STATES
        ]
    show(found, output, lambda patterns: render(patterns, named, home))


def render(found: Sequence[knowledge_pb2.KnownPattern], series: str, home: str | None) -> None:
    """A line a pattern; `series` is the one that was asked for."""
    if not found:
        tested = command_line(home, "patterns", "list", *([series] if series else []), "--all")
        click.echo(f"no patterns kept yet; those that were tested: {tested}")
        return
    rows = [
        (
            known.pattern.id[:12],
            f"{known.pattern.series}/{known.pattern.task}",
            known.pattern.wording,
            state_of(known.state),
            _confidence(known.counts),
            number(known.counts.base_rate, 2),
            f"{known.counts.hits}/{known.counts.support}",
            day(known.evidence_end),
        )
        for known in found
    ]
    table("", ("id", "task", "pattern", "state", ">confidence", ">base", ">hits", "evidence to"), rows)


def _confidence(counts: pattern_pb2.PatternCounts) -> str:
    return f"{number(counts.confidence, 2)} [{number(counts.low, 2)}, {number(counts.high, 2)}]"


def state_of(state: pattern_pb2.PatternState.ValueType) -> str:
    return word(pattern_pb2.PatternState.Name(state), "PATTERN_STATE_").lower()


@patterns.command("show")
@click.argument("pattern_id", metavar="ID")
@home_option
@output_option
def show_(pattern_id: str, home: str | None, output: str) -> None:
    """Pattern ID (or the beginning of one) with its history."""
    with connect(home) as client:
        found = client.get_pattern(pattern_id, min_position=client.get_head().position)
    show(found, output, lambda answer: _render_one(answer, home))


def _render_one(answer: knowledge_pb2.GetPatternResponse, home: str | None) -> None:
    known, counts = answer.pattern, answer.pattern.counts
    click.echo(f"{known.pattern.wording}   {state_of(known.state)}")
    click.echo(f"  id          {known.pattern.id}")
    click.echo(f"  scope       {known.pattern.series}/{known.pattern.task}, {known.pattern.type}")
    click.echo(f"  confidence  {_confidence(counts)}, base {number(counts.base_rate, 2)}")
    click.echo(f"  evidence    {counts.hits} hits on {counts.support} of {counts.bars} bars")
    click.echo(f"  known to    {day(known.evidence_end)}")
    click.echo(f"  above base  with probability {number(counts.probability_above_base, 3)}")
    click.echo(f"  found by    {known.found_by}, {when(known.found_at)}, validations: {known.validations}")
    if known.retired_reason:
        click.echo(f"  retired     {known.retired_reason}")
    if known.conflicting_bars:
        click.echo(f"  conflicts   {len(known.conflicting_bars)} bars on which data sets disagree")
    rows = [
        (
            when(change.recorded_at),
            str(change.position),
            state_of(change.state),
            _confidence(change.counts),
            f"{change.counts.hits}/{change.counts.support}",
            change.lineage,
        )
        for change in answer.history
    ]
    table("History", ("recorded", ">position", "state", ">confidence", ">hits", "by"), rows)
    click.echo("next: " + command_line(home, "lineage", known.pattern.id, "--descendants"))


@patterns.command()
@click.argument("pattern_id", metavar="ID")
@click.option("--reason", required=True, help="Why, for the log.")
@home_option
@output_option
def retire(pattern_id: str, reason: str, home: str | None, output: str) -> None:
    """Retire pattern ID: later models do not use it."""
    with connect(home) as client:
        found = client.retire_pattern(pattern_id, reason)
    show(found, output, lambda known: click.echo(f"{known.pattern.wording}   {state_of(known.state)}"))
