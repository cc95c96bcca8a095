"""ratchet predict: forecast of the next bar, with the model's skill."""

from __future__ import annotations

from pathlib import Path

import click

from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import HORIZON, fixed, format_day, home_option, lines, output_option, show
from ratchet.names import DEFAULT_TARGET, TARGETS, Series, one_of
from ratchet.predictor.v1 import predictor_pb2


@click.command()
@click.argument("series")
@click.option(
    "--target", default="", help=f"One of {', '.join(TARGETS)}  [default: the model's own, or {DEFAULT_TARGET}]"
)
@click.option("--horizon", type=HORIZON, default=None, help="Bars ahead  [default: the model's or the target's own]")
@click.option("--model", default="", help="A version, or a lineage for its champion  [default: the best of SERIES]")
@click.option(
    "--data", "file", type=click.Path(path_type=Path), default=None, help="CSV file of bars  [default: those imported]"
)
@home_option
@output_option
def predict(
    series: str, target: str, horizon: int | None, model: str, file: Path | None, home: str | None, output: str
) -> None:
    """The probability that a model gives the bar after the last one of SERIES.

    With --data, after the last one of a CSV file, which is not imported. A model that starts from online@baseline joins
    its bars to those imported, and any number is enough; another model needs at least 251.
    """
    named = str(Series.parse(series))
    asked = one_of("target", target, TARGETS) if target else ""
    with connect(home) as client:
        found = client.predict(named, asked, horizon=horizon or 0, model=model, file=file)
    show(found, output, lambda answer: _render(answer, home))


def _render(found: predictor_pb2.PredictResponse, home: str | None) -> None:
    lines(
        [
            f"{fixed(found.probability, 3)}   {found.question}",
            f"  last bar   {format_day(found.bar)}",
            f"  model      {found.model}, artifact {found.artifact_digest[:12]}",
            f"  {found.statement}",
            "next: " + command_line(home, "models", "show", found.model),
        ]
    )
