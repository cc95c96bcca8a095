"""ratchet tokens: callers' tokens and roles."""

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
from services.platform.identity import token_file
from services.platform.identity.token_file import FILE_NAME, ROLES, Role, Token

MAX_DAYS = 3650

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
@click.option("--expires", "days", metavar="DAYS", type=click.IntRange(1, MAX_DAYS), help="Days that it is in force.")
@file_option
@home_option
@output_option
def add_(name: str, role: Role, days: int | None, file: Path | None, home: str | None, output: str) -> None:
    """Make a token for NAME, who stands in every fact that comes of it. It is shown once, here.

    A name may have several tokens, so that one can take the place of another: see revoke --older.
    """
    path = _token_path(file, home)
    text, token = token_file.add(path, name, role, datetime.now(UTC), days)
    show({**_token_json(token), "token": text, "file": str(path)}, output, lambda _: click.echo(text))
    until = f" until {_time(token.expires)}" if token.expires else ""
    click.echo(f"the token of {name}, {role}{until}; {path} keeps its hash alone", err=True)
    if not os.environ.get(FILE_VARIABLE):
        click.echo(f"the services read it where they run with: export {_export(path)}", err=True)


@tokens.command("list")
@file_option
@home_option
@output_option
def list_(file: Path | None, home: str | None, output: str) -> None:
    """List the tokens: the first digits of their hashes, owners, roles, times."""
    found = token_file.read(_token_path(file, home))
    show([_token_json(token) for token in found], output, lambda _: _render(found))


@tokens.command("revoke")
@name_argument
@click.option("--older", is_flag=True, help="All but the newest: it has taken their place.")
@file_option
@home_option
@output_option
def revoke_(name: str, older: bool, file: Path | None, home: str | None, output: str) -> None:
    """Revoke the tokens of NAME: the next call with one of them is refused."""
    gone = token_file.revoke(_token_path(file, home), name, older)
    show([_token_json(token) for token in gone], output, lambda _: click.echo(f"{len(gone)} of {name} revoked"))


def _token_path(file: Path | None, home: str | None) -> Path:
    """The token file: the given one, else of the environment, else of the home."""
    named = os.environ.get(FILE_VARIABLE)
    return file or (Path(named) if named else Path(home or DEFAULT_HOME) / FILE_NAME)


def _export(file: Path) -> str:
    return f"{FILE_VARIABLE}={shlex.quote(str(file.absolute()))}"


def _token_json(token: Token) -> dict[str, str]:
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
