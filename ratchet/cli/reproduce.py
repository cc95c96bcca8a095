"""ratchet models reproduce: reproduction of a recorded model, and comparison with the record."""

from __future__ import annotations

import click

from ratchet.cli.connect import connect
from ratchet.cli.output import home_option, output_option, show
from ratchet.errors import CorruptData
from ratchet.names import Model
from ratchet.trainer.v1 import trainer_pb2


@click.command()
@click.argument("model")
@home_option
@output_option
def reproduce(model: str, home: str | None, output: str) -> None:
    """Train MODEL again from its snapshot, seed, parent and patterns, and compare the predictions."""
    name = str(Model.parse(model))
    with connect(home) as client:
        found = client.reproduce_model(name)
    show(found, output, lambda answer: _render(name, answer))
    if not found.identical:
        raise CorruptData(
            f"{name} could not be made again: {'; '.join(found.differences) or 'its predictions differ'};"
            " where a library differs, install the recorded version and reproduce it there"
        )


def _render(name: str, found: trainer_pb2.ReproduceModelResponse) -> None:
    same = "the same" if found.largest_difference == 0.0 else f"within {found.largest_difference:.1g}"
    if found.identical:
        click.echo(f"{name} was made again: its predictions are {same} on all {found.bars} bars of its snapshot")
    click.echo(f"  recorded  {found.artifact_digest}")
    click.echo(f"  made now  {found.reproduced_digest}   {'the same bytes' if found.same_bytes else 'other bytes'}")
    for difference in found.differences:
        click.echo(f"  differs   {difference}")
