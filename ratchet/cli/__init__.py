"""The command line. Each command lives in its own module, imported when it is used."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence

import click

from ratchet.cli.connect import at_home
from ratchet.errors import RatchetError

COMMANDS = {
    "up": ("services.local.up:up", "Run the services on this machine."),
    "serve": ("services.local.up:serve", "Run one service, for containers."),
    "demo": ("services.local.demo:demo", "Start the services, train on AAPL, show what was learned."),
    "doctor": ("services.local.doctor:doctor", "Check this installation and the services."),
    "health": ("ratchet.cli.health:health", "Whether one service serves, for probes."),
    "certs": ("ratchet.cli.certs:certs", "Make the certificates of mutual TLS."),
    "tokens": ("services.local.tokens:tokens", "Who may call the services, and in which role."),
    "version": ("services.local.doctor:version", "Print the version."),
    "data": ("ratchet.cli.data:data", "Import and export bars, list and show data sets."),
    "train": ("ratchet.cli.train:train", "Run one training session and show its verdict."),
    "backtest": ("services.local.backtest:backtest", "Replay the whole loop over history and show what it is worth."),
    "trainings": ("ratchet.cli.trainings:trainings", "List, show, watch and cancel training sessions."),
    "models": ("ratchet.cli.models:models", "Versions, champions, comparisons and decisions."),
    "lineage": ("ratchet.cli.lineage:lineage", "What a model, data set or pattern came from or led to."),
    "patterns": ("ratchet.cli.patterns:patterns", "What has been learned, and how sure it is."),
    "features": ("ratchet.cli.features:features", "How the importance of features changed by version."),
    "predict": ("ratchet.cli.predict:predict", "What the best model says of the next bar."),
    "log": ("ratchet.cli.log:log", "Read, export and rebuild from the event log."),
}


class Commands(click.Group):
    """The group of all commands: their names and help are known here, their code is imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Models that learn from every training session, and a log that proves it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; errors go to stderr, as JSON with `-o json`."""
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
        text = at_home(error.message, _home(given))
        return _fail(given, error.reason, text, error.exit_code, error.fields, error.metadata)
    except (KeyboardInterrupt, click.Abort):
        return _fail(given, "CANCELLED", "interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 the one place where a defect becomes an exit code
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
    """Whether the line asks for JSON, even where it can't be parsed."""
    pairs = zip(given, [*given[1:], ""], strict=True)
    return any(
        (word in ("-o", "--output") and following.startswith("json")) or word.startswith(("-ojson", "--output=json"))
        for word, following in pairs
    )
