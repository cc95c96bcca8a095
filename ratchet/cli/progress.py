"""A session's progress on stderr: a live bar on a terminal, else one line per change of phase or text."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from ratchet.registry.v1 import registry_pb2
from ratchet.trainer.v1 import trainer_pb2


def follow(steps: Iterator[trainer_pb2.WatchTrainingResponse]) -> registry_pb2.Training | None:
    """Prints the progress; returns the ended session, or None if the stream ended without one."""
    return _bar(steps) if sys.stderr.isatty() else _plain(steps)


def _plain(steps: Iterator[trainer_pb2.WatchTrainingResponse]) -> registry_pb2.Training | None:
    shown = ("", "")
    for step in steps:
        if (step.phase, step.text) != shown:
            shown = (step.phase, step.text)
            click.echo(f"{step.fraction:4.0%} {step.phase}: {step.text}".rstrip(": "), err=True)
        if step.HasField("ended"):
            return step.ended
    return None


def _bar(steps: Iterator[trainer_pb2.WatchTrainingResponse]) -> registry_pb2.Training | None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("waiting", total=1.0, text="")
        for step in steps:
            progress.update(task, completed=step.fraction, description=step.phase, text=step.text)
            if step.HasField("ended"):
                return step.ended
    return None
