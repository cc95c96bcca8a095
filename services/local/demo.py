"""ratchet demo: the whole loop on AAPL, each step a command that runs as printed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

import ratchet
from ratchet.cli import cli
from ratchet.cli.connect import DEFAULT_HOME
from ratchet.cli.output import output_option
from ratchet.client.credentials import NO_IDENTITY
from ratchet.client.endpoints import ENVIRONMENT
from ratchet.errors import DataRefused, PreconditionFailed
from services.local import ports
from services.local.supervisor import Supervisor

SERIES, TARGET = "AAPL", "range"
FOREST = f"{SERIES}/{TARGET}/random-forest"
CUTS = ("2006-12-29", "2009-12-31", "")
LOG_FILE = "log.sqlite"
SUGGESTED = (
    ("models", "show", f"{FOREST}/v{len(CUTS)}"),
    ("models", "compare", f"{FOREST}/v1", f"{FOREST}/v{len(CUTS)}"),
    ("train", SERIES, "--model", "random-forest", "--target", "volatility"),
    ("patterns", "rates", SERIES),
    ("log", "tail"),
    ("log", "verify"),
    ("models", "reproduce", f"{FOREST}/v1"),
)


@click.command()
@click.option("--home", type=click.Path(file_okay=False), default=None, help="Empty home folder  [default: ./.ratchet]")
@click.option(
    "--data",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder with AAPL.csv  [default: the bars that are installed with Ratchet]",
)
@output_option
def demo(home: str | None, folder: Path | None, output: str) -> None:
    """Start the services on free ports, train on AAPL as history grows, show what was learned."""
    bars = (folder or _installed_data()) / f"{SERIES}.csv"
    if not bars.is_file():
        raise DataRefused(f"{bars} does not exist; name a folder with {SERIES}.csv, or leave out --data")
    if taken := [key for key in ENVIRONMENT.values() if os.environ.get(key)]:
        raise PreconditionFailed(f"{', '.join(taken)} points at other services; unset it and run the demo again")
    chosen = home or _fresh_home()
    if (Path(chosen) / LOG_FILE).exists():
        raise PreconditionFailed(f"{chosen} holds data already; choose an empty folder with --home")
    os.environ.update(NO_IDENTITY)
    supervisor = Supervisor(Path(chosen), ports.choose(0), say=_print_status)
    _print_status(f"starting the services on {supervisor.home}")
    with supervisor:
        for words in steps(bars):
            _run((*words, "--home", chosen), output)
    _suggest(chosen)


def steps(bars: Path) -> list[tuple[str, ...]]:
    """The commands of the demo, without --home."""
    forest = ("train", SERIES, "--model", "random-forest", "--target", TARGET)
    return [
        ("data", "import", SERIES, str(bars)),
        *((*forest, "--until", cut) if cut else forest for cut in CUTS),
        ("train", SERIES, "--model", "logistic", "--target", TARGET),
        ("models", "list", SERIES),
        ("trainings", "list", SERIES),
        ("models", "history", FOREST),
        ("patterns", "list", SERIES, "--target", TARGET),
        ("features", FOREST),
        ("lineage", f"{FOREST}/v{len(CUTS)}"),
        ("models", "champion", FOREST),
        ("models", "best", SERIES, "--target", TARGET),
    ]


def _run(words: tuple[str, ...], output: str) -> None:
    """Runs one command line in this process; a failed command ends the demo with its exit code."""
    line = (*words, "-o", "json") if output == "json" else words
    click.secho(f"\n$ {shlex.join(('ratchet', *line))}", bold=True, err=output == "json")
    code = cli.main(list(line), prog_name="ratchet", standalone_mode=False)
    if code:
        raise click.exceptions.Exit(code)


def _installed_data() -> Path:
    """The package data of ratchet, relative to the working directory if below it."""
    folder, here = Path(ratchet.__file__).parent / "data", Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _fresh_home() -> str:
    """./.ratchet, or ./.ratchet-demo-N if the former holds data."""
    candidates = [str(DEFAULT_HOME), *(f"{DEFAULT_HOME}-demo-{n}" for n in range(1, 1000))]
    free = next((name for name in candidates if not (Path(name) / LOG_FILE).exists()), None)
    if free is None:
        raise PreconditionFailed("every ./.ratchet-demo-N holds data; name an empty folder with --home")
    return free


def _suggest(home: str) -> None:
    _print_status("\nThe services have stopped; all of it is kept. Open it again:")
    _print_status("  " + shlex.join(["ratchet", "up", "--home", home]))
    _print_status("and then, in another terminal:")
    for words in SUGGESTED:
        _print_status("  " + shlex.join(["ratchet", *words, "--home", home]))


def _print_status(text: str) -> None:
    click.echo(text, err=True)
