"""ratchet doctor and ratchet version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ratchet.cli.connect import DEFAULT_HOME, command_line, find_endpoints
from ratchet.cli.output import home_option, output_option, show, table
from ratchet.errors import Unreachable

OLDEST_PYTHON = (3, 11)
TRAINER_NEEDS = ("sklearn", "skops", "pandas", "pyarrow", "talib", "optuna")
HEALTH_SECONDS = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` says what to do when it is not ok."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


@click.command()
@home_option
@output_option
def doctor(home: str | None, output: str) -> None:
    """Check this installation, the home folder and the services; exit 5 when something is wrong."""
    findings = [*_installation(), *_folders(Path(home or DEFAULT_HOME)), *_services(home)]
    show([asdict(finding) for finding in findings], output, lambda _: _render(findings))
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(Unreachable.exit_code)


def _installation() -> Iterator[Finding]:
    version = sys.version_info[:2] >= OLDEST_PYTHON
    yield Finding("python", version, platform.python_version(), "" if version else "install Python 3.11 or newer")
    missing = [name for name in TRAINER_NEEDS if importlib.util.find_spec(name) is None]
    found = f"missing: {', '.join(missing)}" if missing else "its libraries are installed"
    yield Finding("training", not missing, found, "pip install 'ratchet[trainer]'" if missing else "")


def _folders(home: Path) -> Iterator[Finding]:
    for what, folder in (("home", home), ("artifacts", home / "artifacts")):
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
        state = f"{folder} {'is there' if folder.exists() else 'will be made'}"
        found = state if writable else f"{existing} can't be written to"
        yield Finding(what, writable, found, "" if writable else "give this user the folder, or choose another --home")


def _services(home: str | None) -> Iterator[Finding]:
    from ratchet.cli.health import is_serving

    start = "start the services with " + command_line(home, "up")
    try:
        endpoints = find_endpoints(home)
    except Unreachable as error:
        yield Finding("services", False, error.message.partition(";")[0], start)
        return
    for service, address in asdict(endpoints).items():
        healthy = is_serving(address, HEALTH_SECONDS)
        found = f"serving at {address}" if healthy else f"no answer at {address}"
        yield Finding(service, healthy, found, "" if healthy else start)


def _render(findings: Sequence[Finding]) -> None:
    rows = [("ok" if finding.ok else "WRONG", finding.what, finding.found, finding.remedy) for finding in findings]
    table("", ("", "what", "found", "what to do"), rows)


@click.command()
@output_option
def version(output: str) -> None:
    """Print the version."""
    number = importlib.metadata.version("ratchet")
    show({"version": number}, output, lambda _: click.echo(f"ratchet {number}"))
