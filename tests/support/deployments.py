"""Where a system under test keeps its log and its artifacts, and whether it asks who calls."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.identity import Secured
from tests.support.object_store import Seaweed
from tests.support.postgres import Postgres
from tests.support.running import Running, running


@dataclass(frozen=True)
class Place:
    """Without servers: SQLite and files in the home, and anybody may call, as `ratchet up` has it."""

    postgres: Postgres | None = None
    seaweed: Seaweed | None = None
    secured: Secured | None = None

    @property
    def caller(self) -> Mapping[str, str]:
        """What a person shows."""
        return self.secured.caller("admin") if self.secured else {}

    @property
    def service(self) -> Mapping[str, str]:
        """What the trainer shows to the others."""
        return self.secured.caller("service:trainer") if self.secured else {}

    @contextmanager
    def running(self, home: Path) -> Iterator[Running]:
        """The services on a home, with a log and a store of their own."""
        url = self.postgres.fresh() if self.postgres else ""
        try:
            with running(home, environment=self._environment(url), caller=self.caller) as services:
                yield services
        finally:
            if self.postgres:
                self.postgres.drop(url)

    def _environment(self, log: str) -> dict[str, str]:
        given = {"RATCHET_LOG": log} if log else {}
        if self.seaweed:
            bucket = f"b{uuid.uuid4().hex}"
            given |= {"RATCHET_ARTIFACTS": self.seaweed.url(bucket), **self.seaweed.environ()}
        return given | (self.secured.services() if self.secured else {})


@pytest.fixture(
    scope="session",
    params=[
        pytest.param((), id="sqlite-file"),
        pytest.param(("postgres",), id="postgres-file", marks=pytest.mark.slow),
        pytest.param(("seaweed",), id="sqlite-s3", marks=pytest.mark.slow),
        pytest.param(("postgres", "seaweed"), id="postgres-s3", marks=pytest.mark.slow),
        pytest.param(("postgres", "seaweed", "secured"), id="postgres-s3-tls-tokens", marks=pytest.mark.slow),
    ],
)
def place(request: pytest.FixtureRequest) -> Place:
    """Every combination; the first in `make test`, the others in `make test-slow`."""
    return Place(**{name: request.getfixturevalue(name) for name in request.param})
