"""ratchet tokens: who may call the services, and in which role."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from ratchet.cli.connect import DEFAULT_HOME
from ratchet.cli.output import home_option, output_option, show, table
from ratchet.client.credentials import FILE_VARIABLE
from services.platform.identity import token_file as kept
from services.platform.identity.token_file import FILE_NAME, ROLES, Role, Token

MOST_DAYS = 3650

name_argument = click.argument("name")
file_option = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help=f"The file of tokens  [default: that of {FILE_VARIABLE}, or {FILE_NAME} in the home]",
)


@click.group()
def tokens() -> None:
    """Make, list and revoke the tokens by which the services know their callers.

    The services read the file that RATCHET_TOKENS names, and see every change of it at once.
    """


@tokens.command("add")
@name_argument
@click.option("--role", type=click.Choice(ROLES), required=True, help="What its owner may do; see docs/security.md.")
@click.option("--expires", "days", metavar="DAYS", type=click.IntRange(1, MOST_DAYS), help="Days that it is in force.")
@file_option
@home_option
@output_option
def add_(name: str, role: Role, days: int | None, file: Path | None, home: str | None, output: str) -> None:
    """Make a token for NAME, who stands in every fact that comes of it. It is shown once, here.

    A name may have several tokens, so that one can take the place of another: see revoke --older.
    """
    chosen = _chosen(file, home)
    text, made = kept.add(chosen, name, role, datetime.now(UTC), days)
    show({**_shown(made), "token": text, "file": str(chosen)}, output, lambda _: click.echo(text))
    until = f" until {_time(made.expires)}" if made.expires else ""
    click.echo(f"the token of {name}, {role}{until}; {chosen} keeps its hash alone", err=True)
    if not os.environ.get(FILE_VARIABLE):
        click.echo(f"the services read it where they run with: export {_export(chosen)}", err=True)


@tokens.command("list")
@file_option
@home_option
@output_option
def list_(file: Path | None, home: str | None, output: str) -> None:
    """List the tokens: the first digits of their hashes, owners, roles, times."""
    found = kept.read(_chosen(file, home))
    show([_shown(token) for token in found], output, lambda _: _render(found))


@tokens.command("revoke")
@name_argument
@click.option("--older", is_flag=True, help="All but the newest: it has taken their place.")
@file_option
@home_option
@output_option
def revoke_(name: str, older: bool, file: Path | None, home: str | None, output: str) -> None:
    """Revoke the tokens of NAME: the next call with one of them is refused."""
    gone = kept.revoke(_chosen(file, home), name, older)
    show([_shown(token) for token in gone], output, lambda _: click.echo(f"{len(gone)} of {name} revoked"))


def _chosen(file: Path | None, home: str | None) -> Path:
    """The file that is named, over that of the environment, over that of the home."""
    named = os.environ.get(FILE_VARIABLE)
    return file or (Path(named) if named else Path(home or DEFAULT_HOME) / FILE_NAME)


def _export(file: Path) -> str:
    return f"{FILE_VARIABLE}={shlex.quote(str(file.absolute()))}"


def _shown(token: Token) -> dict[str, str]:
    known = {"id": token.id, "name": token.name, "role": token.role, "created": _time(token.created)}
    return {**known, "expires": _time(token.expires)} if token.expires else known


def _render(found: Sequence[Token]) -> None:
    now = datetime.now(UTC)
    rows = [
        (
            token.id,
            token.name,
            token.role,
            _time(token.created),
            _time(token.expires) if token.expires else "-",
            "expired" if token.has_expired(now) else "in force",
        )
        for token in found
    ]
    table("", ("id", "name", "role", "created", "expires", "state"), rows)


def _time(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
