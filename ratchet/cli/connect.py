"""Client connection from a command's options, and the text of printed commands."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.client.endpoints import ENVIRONMENT, Endpoints
from ratchet.errors import InvalidInput, NotFound, Unreachable

if TYPE_CHECKING:
    from ratchet.client import Client

DEFAULT_HOME = Path(".ratchet")
COMMAND = re.compile(
    r"\bratchet (?:up|serve|doctor|health|certs|tokens|data|train|trainings|models|backtest|predict|lineage|patterns"
    r"|features|log(?! key new))\b"
    r"(?: (?!and\b|or\b)[^\s;,()]+)*"
)


def find_endpoints(home: str | None) -> Endpoints:
    """The endpoints: the environment's addresses, then those of the home folder, then the default ports.

    Raises Unreachable for a named home without running services.
    """
    try:
        found = Endpoints.read(Path(home) if home else DEFAULT_HOME)
    except NotFound as error:
        if home and not any(os.environ.get(key) for key in ENVIRONMENT.values()):
            start = shlex.join(["ratchet", "up", "--home", home])
            raise Unreachable(f"no services run on {home}; start them with {start}") from error
        found = Endpoints()
    return found.overridden(os.environ)


def connect(home: str | None) -> Client:
    from ratchet.client import Client

    found = find_endpoints(home)
    for name, address in asdict(found).items():
        host, colon, port = address.rpartition(":")
        if not (host and colon and port.isdecimal()):
            raise InvalidInput(f"RATCHET_{name.upper()} is {address!r}; write it as host:port, such as 127.0.0.1:7301")
    return Client(**asdict(found))


def command_line(home: str | None, *words: str) -> str:
    """A printable command for the same services; it runs as printed."""
    chosen = ["--home", home] if home else []
    return shlex.join(["ratchet", *words, *chosen])


def with_home_option(text: str, home: str | None) -> str:
    """A service's text with the caller's --home added to each command in it: a service can't know the home."""
    if not home:
        return text
    there = " --home " + shlex.quote(home)
    return COMMAND.sub(lambda found: found[0] if " --home " in found[0] else found[0] + there, text)
