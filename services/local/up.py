"""ratchet up and ratchet serve."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratchet.cli.connect import DEFAULT_HOME, command_line
from ratchet.cli.output import home_option, output_option, show
from ratchet.client.endpoints import SERVICES
from services.local import ports
from services.local.serving import end_with_parent, serve_service
from services.local.supervisor import PARENT_KEY, Supervisor

if TYPE_CHECKING:
    from services.platform.settings import Service

CHECK_SECONDS = 0.2


@click.command()
@home_option
@click.option(
    "--port-base", type=int, default=ports.DEFAULT_BASE, show_default=True, help="Ports N+1 to N+3; 0: free ones."
)
@click.option("--s3", is_flag=True, help="Keep artifacts in an S3 store under the home folder (SeaweedFS).")
@output_option
def up(home: str | None, port_base: int, s3: bool, output: str) -> None:
    """Run the three services on this machine until Ctrl-C."""
    supervisor = Supervisor(
        Path(home or DEFAULT_HOME), ports.choose(port_base), say=lambda text: click.echo(text, err=True), s3=s3
    )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with supervisor:
            store = {"s3": supervisor.store.endpoint} if supervisor.store else {}
            addresses = {**store, **asdict(supervisor.endpoints)}
            show(addresses, output, lambda addresses: _announce(addresses, supervisor, home))
            while True:
                time.sleep(CHECK_SECONDS)
                supervisor.check()
    except KeyboardInterrupt:
        again = command_line(home, "up", "--s3") if s3 else command_line(home, "up")
        click.echo(f"stopped; {supervisor.home} keeps everything, go on with {again}", err=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _announce(addresses: dict[str, str], supervisor: Supervisor, home: str | None) -> None:
    for service, pid in supervisor.pids().items():
        click.echo(f"{service:<10} {addresses[service]}   process {pid}")
    click.echo(f"home       {supervisor.home}")
    click.echo("Ctrl-C stops all. In another terminal: " + command_line(home, "doctor"))


@click.command()
@click.argument("service", type=click.Choice(SERVICES))
@home_option
@click.option("--host", default=ports.HOST, show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=None, help="Port to listen on  [default: the service's own]")
@click.option("--insecure", is_flag=True, help="Listen beyond this machine without TLS and tokens.")
def serve(service: Service, home: str | None, host: str, port: int | None, insecure: bool) -> None:
    """Run one service in this process."""
    if parent := os.environ.get(PARENT_KEY):
        end_with_parent(int(parent))
    serve_service(service, Path(home or DEFAULT_HOME), host, port, insecure)
