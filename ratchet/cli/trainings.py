"""ratchet trainings: training sessions."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ratchet.cli.as_of import PRESENT, TimePoint, as_of_option, print_as_of
from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import (
    enum_word,
    format_time,
    home_option,
    interval,
    limit_option,
    newest,
    output_option,
    print_omitted,
    show,
    table,
)
from ratchet.cli.train import show_ended, watch_to_end
from ratchet.cli.verdict import verdict_of_training
from ratchet.client import Client
from ratchet.errors import NotFound
from ratchet.events.v1 import model_pb2
from ratchet.names import Series
from ratchet.registry.v1 import registry_pb2


@click.group()
def trainings() -> None:
    """List, show, watch and cancel training sessions."""


@trainings.command("list")
@click.argument("series", required=False)
@limit_option(50, "of the newest sessions")
@as_of_option
@home_option
@output_option
def list_(series: str | None, limit: int, as_of: TimePoint, home: str | None, output: str) -> None:
    """The sessions, of SERIES or of all, in the order of their requests."""
    named = str(Series.parse(series)) if series is not None else ""
    with connect(home) as client:
        found = list(client.list_trainings(series=named, as_of=as_of.point))
    print_as_of(as_of, output)
    show(found, output, lambda trainings: render(trainings, limit, named, home, as_of))


def render(
    found: Sequence[registry_pb2.Training], limit: int, series: str, home: str | None, as_of: TimePoint = PRESENT
) -> None:
    """Prints the `limit` newest sessions; `series`: the requested one."""
    if not found:
        step = command_line(home, "train", series or "SERIES", "--model", "TYPE")
        click.echo(f"no sessions{f' of {series}' if series else ''} yet; start one with {step}")
        return
    shown = newest(found, limit)
    rows = [
        (
            training.session_id,
            training.lineage,
            format_time(training.requested_at),
            state_of(training),
            training.model.rpartition("/")[2] or "-",
            verdict_or_reason(training),
            percent(training.improvement_over_parent if training.HasField("improvement_over_parent") else None),
            percent(training.improvement_over_baseline if training.HasField("improvement_over_baseline") else None),
            f"{training.cpu_seconds:.1f}",
        )
        for training in shown
    ]
    columns = (
        "session",
        "lineage",
        "requested",
        "state",
        "model",
        "verdict",
        ">over its parent",
        ">over the baseline",
        ">CPU s",
    )
    table("", columns, rows)
    asked = command_line(home, "trainings", "list", *([series] if series else []), *as_of.arguments)
    print_omitted(len(found) - len(shown), "older sessions are left out", asked)


def percent(improvement: model_pb2.Interval | None) -> str:
    """An improvement in percent; a dash if unmeasured."""
    return f"{interval(improvement, 1, signed=True)} %" if improvement else "-"


def state_of(training: registry_pb2.Training) -> str:
    return enum_word(registry_pb2.TrainingState.Name(training.state), "TRAINING_STATE_").lower()


def verdict_or_reason(training: registry_pb2.Training) -> str:
    if training.state == registry_pb2.TRAINING_STATE_COMPLETED:
        return verdict_of_training(training)
    return training.reason or "-"


@trainings.command("show")
@click.argument("session_id", metavar="ID")
@home_option
@output_option
def show_(session_id: str, home: str | None, output: str) -> None:
    """One session: its verdict with the evidence, or where it stands."""
    with connect(home) as client:
        training = get(client, session_id, home)
        if training.state == registry_pb2.TRAINING_STATE_COMPLETED:
            show_ended(client, training, home, output)
        else:
            show(training, output, lambda found: _render_one(found, home))


def _render_one(training: registry_pb2.Training, home: str | None) -> None:
    click.echo(f"{training.session_id}   {training.lineage}   {state_of(training)}")
    click.echo(f"requested {format_time(training.requested_at)} by {training.requested_by or 'unknown'}")
    if training.state == registry_pb2.TRAINING_STATE_OPEN:
        click.echo("watch it: " + command_line(home, "trainings", "watch", training.session_id))
    else:
        why = f"{training.reason} {training.message}".strip() or "no reason given"
        click.echo(f"ended {format_time(training.ended_at)}: {why}")


@trainings.command()
@click.argument("session_id", metavar="ID")
@home_option
@output_option
def watch(session_id: str, home: str | None, output: str) -> None:
    """Follow a session to its end and show its verdict."""
    with connect(home) as client:
        watch_to_end(client, session_id, home, output)


@trainings.command()
@click.argument("session_id", metavar="ID")
@click.option("--reason", default="", help="Why, for the log.")
@home_option
@output_option
def cancel(session_id: str, reason: str, home: str | None, output: str) -> None:
    """Stop a session; it ends without a model."""
    with connect(home) as client:
        training = client.cancel_training(session_id, reason)
    show(training, output, lambda _: click.echo(f"session {session_id} is {state_of(training)}"))


def get(client: Client, session_id: str, home: str | None) -> registry_pb2.Training:
    found = next(client.list_trainings(session_id=session_id), None) if session_id else None
    if found is None:
        raise NotFound(f"no session {session_id!r}; see {command_line(home, 'trainings', 'list')}")
    return found
