"""ratchet train: start a session, watch it, show its verdict."""

from __future__ import annotations

import click

from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import HORIZON, LARGEST, home_option, lines, output_option, show
from ratchet.cli.progress import follow
from ratchet.cli.verdict import SessionResult, fetch_session_result, render
from ratchet.client import Client
from ratchet.errors import BY_REASON, Cancelled, Internal, RatchetError, Unreachable
from ratchet.names import DEFAULT_TARGET, MODEL_TYPES, POLICIES, TARGETS, Series, Task, one_of
from ratchet.registry.v1 import registry_pb2


@click.command()
@click.argument("series")
@click.option("--model", "model_type", required=True, metavar="TYPE", help=f"One of {', '.join(MODEL_TYPES)}.")
@click.option("--target", default=DEFAULT_TARGET, show_default=True, help=f"One of {', '.join(TARGETS)}.")
@click.option("--horizon", type=HORIZON, default=None, help="Bars ahead  [default: the target's own]")
@click.option("--until", default="", metavar="DATE", help="Train as if no later bar existed.")
@click.option("--policy", default="balanced", show_default=True, help=f"One of {', '.join(POLICIES)}.")
@click.option("--seed", type=click.IntRange(0, LARGEST), default=None, help="Random seed  [default: from the log]")
@click.option("--detach", is_flag=True, help="Print the session's id and return at once.")
@home_option
@output_option
def train(
    series: str,
    model_type: str,
    target: str,
    horizon: int | None,
    until: str,
    policy: str,
    seed: int | None,
    detach: bool,
    home: str | None,
    output: str,
) -> None:
    """Run one training session on SERIES, from what all earlier ones learned, and show its verdict."""
    named = str(Series.parse(series))
    task = Task.of(target, horizon or 0)
    kind, rule = one_of("model", model_type, MODEL_TYPES), one_of("policy", policy, POLICIES)
    with connect(home) as client:
        training = client.start_training(
            named, kind, task.target, horizon=task.horizon, until=until, policy=rule, seed=seed
        )
        if detach:
            show(training, output, lambda _: _detached(training.session_id, home))
        else:
            watch_to_end(client, training.session_id, home, output)


def _detached(session_id: str, home: str | None) -> None:
    click.echo(session_id)
    click.echo("watch it with " + command_line(home, "trainings", "watch", session_id), err=True)


def watch_to_end(client: Client, session_id: str, home: str | None, output: str) -> None:
    """Prints progress, then the verdict; raises the error of a session that ended without a model.

    Ctrl-C stops watching but not the session: exit 130.
    """
    try:
        ended = follow(client.watch_training(session_id))
    except KeyboardInterrupt:
        _print_detach_hint(session_id, home)
        raise click.exceptions.Exit(Cancelled.exit_code) from None
    except Unreachable as error:
        raise Unreachable(
            f"{error.message}; session {session_id} stays in the log and ends when the trainer is back:"
            f" {command_line(home, 'trainings', 'watch', session_id)}"
        ) from error
    if ended is None:
        raise Internal(
            f"the trainer stopped telling about session {session_id};"
            f" look again with {command_line(home, 'trainings', 'show', session_id)}"
        )
    show_ended(client, ended, home, output)


def show_ended(client: Client, ended: registry_pb2.Training, home: str | None, output: str) -> None:
    if ended.state != registry_pb2.TRAINING_STATE_COMPLETED:
        raise ended_error(ended)
    outcome: SessionResult = fetch_session_result(client, ended)
    show(outcome.as_json(), output, lambda _: render(outcome, home))


def ended_error(ended: registry_pb2.Training) -> RatchetError:
    """The error of a session that ended without a model."""
    metadata = {"session_id": ended.session_id}
    if ended.state == registry_pb2.TRAINING_STATE_CANCELLED:
        why = ended.reason or "no reason given"
        return Cancelled(f"session {ended.session_id} was cancelled: {why}", metadata=metadata)
    kind = BY_REASON.get(ended.reason, Internal)
    return kind(ended.message or f"session {ended.session_id} failed: {ended.reason}", metadata=metadata)


def _print_detach_hint(session_id: str, home: str | None) -> None:
    lines_of_help = (
        f"\nsession {session_id} goes on",
        "  watch it:  " + command_line(home, "trainings", "watch", session_id),
        "  cancel it: " + command_line(home, "trainings", "cancel", session_id),
    )
    lines(lines_of_help, err=True)
