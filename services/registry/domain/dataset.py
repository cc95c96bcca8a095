"""A snapshot of bars, stream dataset/<digest>.

It is registered once for each series, and again to become the latest again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ratchet.events.v1 import facts_pb2
from ratchet.patterns.snapshots import Registration
from services.platform.facts import Fact


@dataclass(frozen=True)
class DatasetState:
    """`version`: of the stream, 0 for an unregistered digest. `registration`: the first one, which states the rows."""

    digest: str
    version: int = 0
    registration: Registration | None = None


def project(state: DatasetState | None, facts: Iterable[Fact]) -> DatasetState | None:
    """`state` after `facts`; None without any."""
    for fact in facts:
        registration = state.registration if state else None
        if registration is None and isinstance(fact.message, facts_pb2.DatasetRegistered):
            registration = Registration.of(fact.message)
        state = DatasetState(fact.stream.removeprefix("dataset/"), fact.version, registration)
    return state
