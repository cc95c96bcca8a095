"""The eventsourcing application over the log: facts as domain events, states by projector functions."""

from __future__ import annotations

from collections.abc import Sequence

from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, Mapper

from services.platform.facts import Fact, FactMapper
from services.registry.eventlog.append import Append, CommitResult, Origin
from services.registry.eventlog.log import Log


class LogApplication(Application[str]):
    """`repository.get(stream, projector_func=…)` loads a state; `append` records facts.

    `events.put(facts, origin=Origin(…))` records too, and returns the library's recordings.
    """

    def __init__(self, log: Log) -> None:
        self._source = log
        super().__init__(
            {
                "PERSISTENCE_MODULE": "eventsourcing.popo",
                "ORIGINATOR_ID_TYPE": "text",
                "IS_SNAPSHOTTING_ENABLED": "n",
                "AGGREGATE_CACHE_MAXSIZE": "",
            }
        )

    def construct_mapper(self) -> Mapper[str]:
        return self.factory.mapper(mapper_class=FactMapper)

    def construct_recorder(self) -> ApplicationRecorder:
        return self._source.recorder

    def append(self, facts: Sequence[Fact], origin: Origin) -> CommitResult:
        """Records facts all together or not at all; errors as `Commit`."""
        return self._source.commit(Append(origin, tuple(facts)))
