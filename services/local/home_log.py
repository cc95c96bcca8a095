"""ratchet log import and ratchet log key rotate: work on a home's database, on the registry's machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from ratchet.cli.connect import DEFAULT_HOME, command_line
from ratchet.cli.log_proofs import FILE
from ratchet.cli.output import home_option, output_option, show
from ratchet.client import default_actor
from ratchet.errors import InvalidInput
from ratchet.transparency.keys import load_trusted
from services.platform.settings import Settings
from services.registry import audit, bootstrap


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--home", type=click.Path(file_okay=False), required=True, help="An empty home folder; it is made.")
@click.option("--key", metavar="KEY", default=None, help="The public key to trust, a file or a vkey.")
@output_option
def import_(file: Path, home: str, key: str | None, output: str) -> None:
    """Put an exported log into an empty home: the very events, and so the same root.

    Its artifacts are not in an export: copy their folder too, or name their store with RATCHET_ARTIFACTS.
    """
    trusted = [load_trusted(key)] if key else []
    settings = Settings.load("registry", Path(home), "127.0.0.1", None)
    report = audit.import_export(settings, file, trusted)
    if report.key is None:
        raise InvalidInput(f"{file} has no events; export a log that has some")
    found = {"events": report.size, "root": report.root.hex(), "key_id": report.key.id}
    show(found, output, lambda _: _render_imported(found, home))


def _render_imported(found: Mapping[str, object], home: str) -> None:
    step = ("serve", "registry") if os.environ.get("RATCHET_LOG") else ("up",)
    click.echo(f"{found['events']} events with root {found['root']} are in {home}")
    click.echo(
        f"They are signed with the key {found['key_id']}: put its private key into {Path(home) / 'signing.key'}, or"
        f" name it with RATCHET_SIGNING_KEY, before {command_line(home, *step)}; the registry refuses any other."
    )


@click.command()
@click.argument("new_key", type=FILE)
@click.option("--reason", required=True, help="Why; it is recorded.")
@home_option
@output_option
def rotate(new_key: Path, reason: str, home: str | None, output: str) -> None:
    """Replace the log's key by that of the file NEW_KEY, on the registry's machine; both sign that.

    Stop the registry before: one that runs refuses every write until it is started again with the new key.
    """
    settings = Settings.load("registry", Path(home or DEFAULT_HOME), "127.0.0.1", None)
    in_force = bootstrap.rotate_key(settings, new_key, default_actor(), reason)
    found = {"key_id": in_force.id, "since_position": in_force.position}
    show(found, output, lambda _: _render_rotated(found, settings.signing_key is not None, new_key, home))


def _render_rotated(found: dict[str, object], named: bool, new_key: Path, home: str | None) -> None:
    click.echo(f"the key {found['key_id']} signs from position {found['since_position']} on")
    if named:
        click.echo(f"start the registry with RATCHET_SIGNING_KEY={new_key}")
    else:
        click.echo(f"it is the home's own key now; go on with {command_line(home, 'up')}, and remove {new_key}")
