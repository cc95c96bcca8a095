"""A busy port is named with the process that holds it and with a way out."""

import os
import socket

import pytest

from ratchet.client.services import SERVICES
from ratchet.errors import InvalidInput, PreconditionFailed
from services.local import ports

OFFSETS = range(1, len(SERVICES) + 1)


def free_base() -> int:
    """A base whose ports are free now."""
    for base in range(20000, 60000, 7):
        if all(ports.is_free(base + offset) for offset in OFFSETS):
            return base
    raise AssertionError("no free ports in a row")


def test_free_ports_are_different_ones() -> None:
    chosen = ports.choose(0)
    assert len(set(chosen)) == len(SERVICES)
    assert all(ports.is_free(port) for port in chosen)


def test_a_base_gives_the_ports_after_it() -> None:
    base = free_base()
    assert ports.choose(base) == tuple(base + offset for offset in OFFSETS)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_busy_port_is_named_with_its_process_and_another_base(offset: int) -> None:
    base = free_base()
    with socket.socket() as held:
        held.bind((ports.HOST, base + offset))
        held.listen()
        with pytest.raises(PreconditionFailed) as refused:
            ports.choose(base)
    assert refused.value.exit_code == 4
    assert f"port {base + offset} is held by process {os.getpid()} (" in refused.value.message
    assert f"--port-base {base + 100}" in refused.value.message


@pytest.mark.parametrize("base", [-1, 80, 1023, 65532, 70000])
def test_a_base_out_of_range_is_refused(base: int) -> None:
    with pytest.raises(InvalidInput, match="--port-base"):
        ports.choose(base)
