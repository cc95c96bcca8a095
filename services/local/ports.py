"""Ports of the services: defaults, from a base, or free ones; errors name the owner of a busy port."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

import psutil

from ratchet.client.services import SERVICES
from ratchet.errors import InvalidInput, PreconditionFailed

HOST = "127.0.0.1"
DEFAULT_BASE = 7300

Ports = tuple[int, ...]


def choose(base: int) -> Ports:
    """base+1, base+2, …, one for each service, all free; base 0: any free ports.

    Raises:
        PreconditionFailed: a port is busy; the message names its process.
    """
    count = len(SERVICES)
    if base == 0:
        return _free(count)
    if not 1024 <= base <= 65535 - count:
        raise InvalidInput(f"--port-base {base} is out of range; use 1024 to {65535 - count}, or 0 for free ports")
    ports = tuple(range(base + 1, base + count + 1))
    for port in ports:
        if not is_free(port):
            raise PreconditionFailed(
                f"port {port} is held by {port_owner(port)}; stop it, or choose other ports with"
                f" --port-base {base + 100 if base + 100 + count < 65536 else 0}",
                metadata={"port": str(port)},
            )
    return ports


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PreconditionFailed(f"port {port} can't be used: {error.strerror}; choose --port-base") from error
            return False
        return True


def port_owner(port: int) -> str:
    """The process that listens on `port`, if visible to this user."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                process = psutil.Process(connection.pid)
                return f"process {process.pid} ({' '.join(process.cmdline())[:80] or process.name()})"
    except psutil.Error:
        pass
    return "another process"


def _free(count: int) -> Ports:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return tuple(probe.getsockname()[1] for probe in probes)
