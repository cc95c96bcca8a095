"""ratchet doctor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ratchet.cli.connect import DEFAULT_HOME, command_line, connect, find_endpoints
from ratchet.cli.output import home_option, output_option, show, table
from ratchet.errors import RatchetError, Unreachable
from services.local.doctor_check import CheckResult, check_result
from services.local.doctor_machine import artifacts, folders, installation, tls


@click.command()
@home_option
@output_option
def doctor(home: str | None, output: str) -> None:
    """Check this installation, the home folder and the services; exit 5 when something is wrong."""
    folder = Path(home or DEFAULT_HOME)
    findings = [*installation(), *folders(folder)]
    if store := os.environ.get("RATCHET_ARTIFACTS"):
        findings.append(artifacts(store))
    findings += tls()
    if all(each.ok for each in findings if each.what == "tls"):
        findings += _services(home, folder)
    show([asdict(each) for each in findings], output, lambda _: _render(findings))
    if not all(each.ok for each in findings):
        raise click.exceptions.Exit(Unreachable.exit_code)


def _services(home: str | None, folder: Path) -> Iterator[CheckResult]:
    from services.local.doctor_log import log
    from services.local.doctor_services import services

    start = command_line(home, "up")
    try:
        endpoints = find_endpoints(home)
    except Unreachable as error:
        yield check_result("services", False, error.message.partition(";")[0], start)
        return
    found = list(services(home, endpoints))
    yield from found
    if any(each.what == "registry clock" for each in found):
        try:
            with connect(home) as client:
                yield from log(home, folder, client)
        except RatchetError as error:
            yield check_result("token", False, error.message.partition(";")[0], start)


def _render(findings: Sequence[CheckResult]) -> None:
    rows = [("ok" if each.ok else "WRONG", each.what, each.found, each.remedy) for each in findings]
    table("", ("", "what", "found", "what to do"), rows)
