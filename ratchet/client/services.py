"""The services: names, ports, dependencies and roles. Everything that lists services reads this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        port: the default port.
        calls: names of the services that it calls.
        checks: names under which its health service answers for its dependencies.
        role: the role of its token; "" for a service that calls no other.
    """

    name: str
    port: int
    calls: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    role: str = ""

    @property
    def variable(self) -> str:
        """The environment variable with its address, host:port."""
        return f"RATCHET_{self.name.upper()}"


SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        Service(
            "registry",
            7301,
            checks=("database",),
        ),
        Service(
            "knowledge",
            7302,
            calls=("registry",),
            checks=("log",),
            role="service:knowledge",
        ),
        Service(
            "trainer",
            7303,
            calls=("registry", "knowledge"),
            checks=("registry", "knowledge", "artifacts", "workers"),
            role="service:trainer",
        ),
        Service(
            "predictor",
            7304,
            calls=("registry",),
            checks=("registry", "artifacts"),
            role="viewer",
        ),
    )
}
"""In start order."""
