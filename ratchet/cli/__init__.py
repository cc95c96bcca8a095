"""The command line. Commands are entry points of the group `ratchet.commands`, imported on use."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence

import click

from ratchet.cli.command_group import CommandGroup
from ratchet.cli.connect import with_home_option
from ratchet.errors import RatchetError

SUMMARIES = {
    "up": "Run the services on this machine.",
    "serve": "Run one service, for containers.",
    "demo": "Start the services, train on AAPL, show what was learned.",
    "doctor": "Check this installation and the services.",
    "health": "Whether one service serves, for probes.",
    "certs": "Make the certificates of mutual TLS.",
    "tokens": "Who may call the services, and in which role.",
    "version": "Print the version.",
    "data": "Import and export bars, list and show data sets.",
    "train": "Run one training session and show its verdict.",
    "backtest": "Replay the whole loop over history and show what it is worth.",
    "trainings": "List, show, watch and cancel training sessions.",
    "models": "Versions, champions, comparisons and decisions.",
    "lineage": "What a model, data set or pattern came from or led to.",
    "patterns": "What has been learned, and how sure it is.",
    "features": "How the importance of features changed by version.",
    "predict": "What the best model says of the next bar.",
    "log": "Read, export and rebuild from the event log.",
}
"""Help text of each command of Ratchet, so that the help page imports none of them."""


@click.group(
    cls=CommandGroup,
    entry_points="ratchet.commands",
    summaries=SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def cli() -> None:
    """Models that learn from every training session, and a log that proves it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; errors go to stderr, as JSON with `-o json`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(given, prog_name="ratchet", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message(), err=True)
        return 2
    except click.UsageError as error:
        text = error.format_message().rstrip(".")
        where = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        return _fail(given, "USAGE", text + where, 2)
    except click.ClickException as error:
        return _fail(given, "USAGE", error.format_message(), 2)
    except RatchetError as error:
        _trace_if_debugging()
        text = with_home_option(error.message, _home(given))
        return _fail(given, error.reason, text, error.exit_code, error.fields, error.metadata)
    except (KeyboardInterrupt, click.Abort):
        return _fail(given, "CANCELLED", "interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 defects become an exit code here only
        _trace_if_debugging()
        text = f"{type(error).__name__}: {error}; this is a defect: RATCHET_DEBUG=1 shows where"
        return _fail(given, "INTERNAL", text, 1)
    return code if isinstance(code, int) else 0


def _trace_if_debugging() -> None:
    if os.environ.get("RATCHET_DEBUG") == "1":
        traceback.print_exc()


def _fail(
    given: Sequence[str],
    reason: str,
    message: str,
    code: int,
    fields: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> int:
    if _wants_json(given):
        details = {"reason": reason, "message": message, "exit_code": code, "fields": fields, "metadata": metadata}
        click.echo(json.dumps({"error": {name: value for name, value in details.items() if value}}), err=True)
    else:
        click.echo(f"error: {message}", err=True)
    return code


def _home(given: Sequence[str]) -> str | None:
    """The --home of the line."""
    pairs = zip(given, [*given[1:], ""], strict=True)
    named = (
        following if word == "--home" else word.removeprefix("--home=")
        for word, following in pairs
        if word == "--home" or word.startswith("--home=")
    )
    return next(named, None)


def _wants_json(given: Sequence[str]) -> bool:
    """Whether the line asks for JSON, even if it is malformed."""
    pairs = zip(given, [*given[1:], ""], strict=True)
    return any(
        (word in ("-o", "--output") and following.startswith("json")) or word.startswith(("-ojson", "--output=json"))
        for word, following in pairs
    )
