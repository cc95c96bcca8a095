"""ratchet log: the event log."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from ratchet.cli.command_group import CommandGroup
from ratchet.cli.connect import command_line, connect
from ratchet.cli.facts import read_fact
from ratchet.cli.log_filter import filter_options
from ratchet.cli.log_proofs import key, prove
from ratchet.cli.log_verify import verify_
from ratchet.cli.output import LARGEST, POSITION, format_time, home_option, output_option, show, table, to_json
from ratchet.errors import CorruptData, NotFound
from ratchet.eventlog.v1 import eventlog_pb2


@click.group(
    cls=CommandGroup,
    entry_points="ratchet.commands.log",
    summaries={"import": "Put an exported log into an empty home."},
)
def log() -> None:
    """Read, export and rebuild from the event log."""


@log.command()
@click.option("--follow", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@click.option("--limit", type=click.IntRange(1, LARGEST), default=20, show_default=True, help="How many to begin with.")
@filter_options
@home_option
@output_option
def tail(follow: bool, limit: int, where: eventlog_pb2.Filter, home: str | None, output: str) -> None:
    """The newest events, oldest first."""
    with connect(home) as client:
        head = client.get_head().position
        newest = list(client.read_log(stop=head, limit=limit, descending=True, where=where))[::-1]
        if not follow:
            show([summary(event) for event in newest], output, lambda events: _render(events, head, home))
            return
        for event in newest:
            _line(event, output)
        for event in client.follow_log(head, where=where):
            _line(event, output)


def summary(event: eventlog_pb2.StoredEvent) -> dict[str, object]:
    envelope, _ = read_fact(event)
    return {
        "position": event.position,
        "recorded_at": format_time(envelope.recorded_at),
        "stream": event.stream,
        "version": event.version,
        "topic": event.topic,
        "actor": envelope.actor,
    }


def _row(event: dict[str, object]) -> tuple[str, ...]:
    short = str(event["topic"]).rpartition(".")[2]
    return str(event["position"]), str(event["recorded_at"]), short, str(event["stream"]), str(event["actor"])


def _render(events: Sequence[dict[str, object]], head: int, home: str | None) -> None:
    if not events and head:
        click.echo(f"none of the {head:,} events is such a one; see {command_line(home, 'log', 'tail')}")
        return
    if not events:
        click.echo("the log is empty; it begins with " + command_line(home, "data", "import", "SYMBOL", "FILE"))
        return
    table("", (">position", "recorded", "fact", "stream", "actor"), [_row(event) for event in events])


def _line(event: eventlog_pb2.StoredEvent, output: str) -> None:
    found = summary(event)
    position, recorded, fact, stream, actor = _row(found)
    line = f"{position:>9}   {recorded}   {fact:<17}   {stream:<40}   {actor}"
    click.echo(json.dumps(found, ensure_ascii=False) if output == "json" else line)


@log.command("show")
@click.argument("position", type=POSITION)
@home_option
@output_option
def show_(position: int, home: str | None, output: str) -> None:
    """The event at POSITION with its readable payload."""
    with connect(home) as client:
        event = next(client.read_log(position, position, limit=1), None)
        if event is None:
            raise NotFound(f"no event at position {position}; the log ends at {client.get_head().position}")
    show(readable(event), output, _render_one)


def readable(event: eventlog_pb2.StoredEvent) -> dict[str, object]:
    envelope, fact = read_fact(event)
    return {
        **summary(event),
        "event_id": envelope.event_id,
        "request_id": envelope.request_id,
        "correlation_id": envelope.correlation_id,
        "causation_id": envelope.causation_id,
        "payload": to_json(fact),
    }


def _render_one(event: dict[str, object]) -> None:
    for name, value in event.items():
        if name != "payload" and value != "":
            click.echo(f"{name:<15} {value}")
    click.echo(json.dumps(event["payload"], indent=2, ensure_ascii=False))


@log.command()
@home_option
@output_option
def rebuild(home: str | None, output: str) -> None:
    """Build the read tables anew and compare them with the live ones."""
    with connect(home) as client:
        found = client.rebuild()
    show(found, output, _render_rebuilt)
    different = [rebuilt.name for rebuilt in found.tables if not rebuilt.identical]
    if different:
        raise CorruptData(
            f"{', '.join(different)} differed from what the log says, and is now what the log says;"
            " find out who wrote into the database"
        )


def _render_rebuilt(found: eventlog_pb2.RebuildResponse) -> None:
    rows = [(each.name, str(each.rows), "identical" if each.identical else "DIFFERENT") for each in found.tables]
    table(f"Rebuilt from position 0 to {found.position}", ("table", ">rows", ""), rows)


@log.command()
@click.option("--start", type=POSITION, default=1, show_default=True, help="The first position.")
@click.option("--stop", type=POSITION, default=None, help="The last position  [default: the head]")
@click.option("-o", "--output", type=click.Choice(["jsonl"]), default="jsonl", show_default=True)
@home_option
def export(start: int, stop: int | None, output: str, home: str | None) -> None:  # noqa: ARG001 one format
    """Every event as a line of JSON, oldest first, and the checkpoint of them all.

    Each has a readable payload, and the stored bytes in base64, which ratchet log verify reads.
    """
    from ratchet.transparency.export import checkpoint_line, event_line

    if stop is not None and stop < start:
        raise click.UsageError(f"--stop {stop} lies before --start {start}")
    with connect(home) as client:
        for batch in client.export_log(start, stop or 0):
            for event in batch.events:
                click.echo(event_line(event.position, event.stream, event.version, event.topic, event.state))
            if batch.checkpoint:
                click.echo(checkpoint_line(batch.checkpoint))


log.add_command(prove)
log.add_command(key)
log.add_command(verify_)
