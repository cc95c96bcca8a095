"""Ports of the three services: the default ones, others from a base, or free ones; a busy port is named."""

from __future__ import annotations

import errno
import socket

import psutil

from ratchet.errors import InvalidInput, PreconditionFailed

HOST = "127.0.0.1"
DEFAULT_BASE = 7300

Ports = tuple[int, int, int]


def choose(base: int) -> Ports:
    """base+1 to base+3, all free; base 0: three free ports. PreconditionFailed names a busy one and its process."""
    if base == 0:
        return _free()
    if not 1024 <= base <= 65532:
        raise InvalidInput(f"--port-base {base} is out of range; use 1024 to 65532, or 0 for free ports")
    ports = (base + 1, base + 2, base + 3)
    for port in ports:
        if not is_free(port):
            raise PreconditionFailed(
                f"port {port} is held by {holder(port)}; stop it, or choose other ports with"
                f" --port-base {base + 100 if base + 103 < 65536 else 0}",
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


def holder(port: int) -> str:
    """The process that listens on `port`, as far as this user may see it."""
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


def _free() -> Ports:
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for probe in (one, two, three):
            probe.bind((HOST, 0))
        return one.getsockname()[1], two.getsockname()[1], three.getsockname()[1]
