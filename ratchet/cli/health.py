"""Health check of a service by the standard protocol; and ratchet health, for probes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict

import click
import grpc

from ratchet.cli.connect import command_line, find_endpoints
from ratchet.cli.output import home_option, output_option, show
from ratchet.client.channel import map_rpc_error, open_channel
from ratchet.client.credentials import Credentials, Tls
from ratchet.client.health import LIVE, check_health
from ratchet.client.services import SERVICES
from ratchet.errors import Unreachable

PROBE_SECONDS = 5.0


def is_serving(address: str, timeout: float, environ: Mapping[str, str] = os.environ, name: str = "") -> bool:
    """Whether the server at host:port reports SERVING within `timeout` seconds; with the TLS of `environ`.

    `name`: the checked service name; LIVE checks liveness only. The health protocol needs no token.
    """
    with open_channel(address, Credentials(Tls.load(environ))) as channel:
        try:
            return check_health(channel, name, timeout).serving
        except grpc.RpcError:
            return False


@click.command()
@click.argument("service", type=click.Choice(tuple(SERVICES)))
@click.option("--live", is_flag=True, help="Ask only whether it can answer, whatever it misses.")
@home_option
@output_option
def health(service: str, live: bool, home: str | None, output: str) -> None:
    """Exit 0 while SERVICE serves, 5 otherwise.

    For probes: under TLS a prober that speaks gRPC itself has no certificate to show; this has that of the environment.
    """
    address = asdict(find_endpoints(home))[service]
    with open_channel(address, Credentials(Tls.load())) as channel:
        try:
            found = check_health(channel, LIVE if live else "", PROBE_SECONDS)
        except grpc.RpcError as error:
            raise map_rpc_error(error, f"the {service} at {address}") from error
    if not found.serving:
        missing = f": {found.wrong}" if found.wrong else ""
        raise Unreachable(f"the {service} at {address} does not serve{missing}; see {command_line(home, 'doctor')}")
    show({"service": service, "address": address}, output, lambda _: click.echo(f"the {service} at {address} serves"))
