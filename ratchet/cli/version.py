"""ratchet version."""

from __future__ import annotations

import click

import ratchet
from ratchet.cli.output import output_option, show


@click.command()
@output_option
def version(output: str) -> None:
    """Print the version."""
    show({"version": ratchet.__version__}, output, lambda found: click.echo(f"ratchet {found['version']}"))
