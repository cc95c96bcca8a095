"""A snapshot of bars, stream dataset/<digest>.

It is registered once for each series, and again to become the latest again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.platform.facts import Fact


@dataclass(frozen=True)
class DatasetState:
    """`version`: of the stream, 0 for an unregistered digest."""

    digest: str
    version: int = 0


def project(state: DatasetState | None, facts: Iterable[Fact]) -> DatasetState | None:
    """`state` after `facts`; None without any."""
    for fact in facts:
        state = DatasetState(fact.stream.removeprefix("dataset/"), fact.version)
    return state
