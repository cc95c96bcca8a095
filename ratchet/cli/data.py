"""ratchet data: import and export of bars, data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ratchet.cli.as_of import TimePoint, as_of_option, print_as_of
from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import format_day, format_time, home_option, lines, output_option, show, table
from ratchet.errors import DataRefused, InvalidInput, NotFound
from ratchet.names import Series
from ratchet.registry.v1 import registry_pb2
from ratchet.render import datasets
from ratchet.render.standstills import standstill_notes
from ratchet.trainer.v1 import trainer_pb2

Command = TypeVar("Command", bound=Callable[..., Any])

timeframe_option = click.option("--timeframe", default="1d", show_default=True, help="Length of a bar, such as 15m.")


def zone_options(command: Command) -> Command:
    """--timezone and --market-timezone of a command that reads a file of bars."""
    file = "Zone of times without a UTC offset  [default: as in the last import, else the market's]"
    market = "Zone of the calendar features  [default: --timezone, else as in the last import]"
    command = click.option("--market-timezone", default="", metavar="ZONE", help=market)(command)
    return click.option("--timezone", default="", metavar="ZONE", help=file)(command)


@click.group()
def data() -> None:
    """Import and export bars, list and show data sets."""


@data.command("import")
@click.argument("symbol")
@click.argument("file", type=click.Path(path_type=Path))
@timeframe_option
@zone_options
@click.option("--replace", is_flag=True, help="Accept another history, or market zone, than in the last snapshot.")
@home_option
@output_option
def import_(
    symbol: str,
    file: Path,
    timeframe: str,
    timezone: str,
    market_timezone: str,
    replace: bool,
    home: str | None,
    output: str,
) -> None:
    """Import the bars of SYMBOL from a CSV file.

    A known symbol gets a new snapshot; the older ones stay.

    Hour and weekday of bars within a day are computed in the time zone of their market, an IANA name such as
    America/New_York. It has to be given once, unless the bars trade around the clock, seven days a week: then it is
    UTC. A UTC offset in the file names no zone. Daily and weekly bars need none: they keep the date as written.
    """
    series = _series(symbol, timeframe)
    with connect(home) as client:
        try:
            answer = client.import_bars(
                file, series, replace=replace, timezone=timezone, market_timezone=market_timezone
            )
        except DataRefused as error:
            if error.metadata.get("remedy") == "replace":
                zones = zone_arguments(timezone, market_timezone)
                again = command_line(home, "data", "import", series, str(file), *zones, "--replace")
                raise DataRefused(f"{error.message}: {again}", metadata=error.metadata) from error
            raise
    show(answer, output, lambda found: _render_import(found, home))


def zone_arguments(timezone: str, market_timezone: str) -> list[str]:
    """Command-line arguments for `zone_options`."""
    given = (("--timezone", timezone), ("--market-timezone", market_timezone))
    return [word for option, zone in given if zone for word in (option, zone)]


def _render_import(answer: trainer_pb2.ImportBarsResponse, home: str | None) -> None:
    dataset, bars = answer.dataset, answer.dataset.registered
    if answer.unchanged:
        click.echo(f"{dataset.series}: nothing new, these {bars.rows} bars were there already")
    else:
        click.echo(f"{dataset.series}: {bars.rows} bars, {format_day(bars.first_bar)} to {format_day(bars.last_bar)}")
    if bars.previous_digest and not answer.unchanged:
        changes = f"{bars.rows_appended} appended, {bars.rows_changed} changed, {bars.rows_removed} removed"
        click.echo(f"  against the snapshot before: {changes}")
    lines(f"  {note}" for note in (*datasets.import_notes(bars), *standstill_notes(answer.standstills)))
    click.echo(f"  market time zone {bars.market_timezone}")
    click.echo(f"  {answer.usable_bars} usable for training, snapshot {bars.digest[:12]}")
    if answer.usable_bars == 0:
        click.echo("too short to train on: import more history")
        return
    click.echo("next: " + command_line(home, "train", dataset.series, "--model", "random-forest", "--target", "range"))


@data.command()
@click.argument("symbol")
@click.argument("file", type=click.Path(path_type=Path))
@timeframe_option
@home_option
@output_option
def export(symbol: str, file: Path, timeframe: str, home: str | None, output: str) -> None:
    """Write the newest bars of SYMBOL to a CSV file, which must not be there yet.

    Imported again, the file makes the same snapshot: the series keeps its market time zone, which is not in the file.
    """
    series = _series(symbol, timeframe)
    if file.exists():
        raise InvalidInput(f"{file} is there already; remove it, or choose another name", fields={"file": "exists"})
    with connect(home) as client:
        size = _write(file, client.export_bars(series))
    written = {"series": series, "file": str(file), "size_bytes": size}
    show(written, output, lambda _: click.echo(f"{series}: {size:,} bytes in {file}"))


def _write(file: Path, pieces: Iterator[bytes]) -> int:
    """Writes a file atomically; returns its size in bytes."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as target:
            size = sum(target.write(piece) for piece in pieces)
        part.rename(file)
    except OSError as error:
        raise InvalidInput(
            f"can't write {error.filename or file}: {error.strerror}; choose another FILE", fields={"file": "refused"}
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return size


@data.command("list")
@as_of_option
@home_option
@output_option
def list_(as_of: TimePoint, home: str | None, output: str) -> None:
    """The newest snapshot of every series."""
    with connect(home) as client:
        found = list(client.list_datasets(latest_only=True, as_of=as_of.point))
    print_as_of(as_of, output)
    show(found, output, lambda listed: _render(listed, home))


@data.command("show")
@click.argument("symbol")
@timeframe_option
@as_of_option
@home_option
@output_option
def show_(symbol: str, timeframe: str, as_of: TimePoint, home: str | None, output: str) -> None:
    """Every snapshot of SYMBOL, those that --until cut included."""
    series = _series(symbol, timeframe)
    with connect(home) as client:
        found = list(client.list_datasets(series, include_cuts=True, as_of=as_of.point))
    if not found:
        past = f" as of {as_of}" if as_of.given else ""
        raise NotFound(f"no bars of {series}{past}; import them with ratchet data import {symbol} FILE")
    print_as_of(as_of, output)
    show(found, output, lambda listed: _render(listed, home))


def _series(symbol: str, timeframe: str) -> str:
    return str(Series.parse(symbol if "@" in symbol else f"{symbol}@{timeframe}"))


def _render(found: Sequence[registry_pb2.Dataset], home: str | None) -> None:
    if not found:
        click.echo("no data yet; import some with " + command_line(home, "data", "import", "SYMBOL", "FILE"))
        return
    rows = [
        (
            dataset.series,
            str(bars.rows),
            format_day(bars.first_bar),
            format_day(bars.last_bar),
            bars.market_timezone,
            f"cut of {bars.cut_from[:12]}" if bars.cut_from else "latest" if dataset.latest else "",
            f"+{bars.rows_appended} ~{bars.rows_changed} -{bars.rows_removed}" if bars.previous_digest else "",
            format_time(dataset.recorded_at),
            datasets.source(bars),
            bars.digest[:12],
        )
        for dataset in found
        for bars in (dataset.registered,)
    ]
    columns = ("series", ">bars", "first", "last", "market zone", "", "change", "imported", "source", "digest")
    table("", columns, rows)
