"""States of the domain, folded from their streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from eventsourcing.application import AggregateNotFoundError, LRUCache, Repository
from google.protobuf.message import Message

from ratchet.decisions import lineage, symbol
from ratchet.decisions.lineage import LineageState
from ratchet.decisions.symbol import SymbolState
from ratchet.errors import NotFound
from ratchet.names import Lineage, Series, Task
from services.platform.facts import Fact
from services.registry.domain import dataset, session
from services.registry.domain.dataset import DatasetState
from services.registry.domain.session import SessionState
from services.registry.eventlog import LogApplication

State = TypeVar("State")

CACHED_STATES = 1000


class States:
    """Loads the states for decisions. A state is valid while its stream keeps its version.

    Folded states are cached, and updated to the stream's end at each load.
    """

    def __init__(self, application: LogApplication) -> None:
        self._cache: LRUCache[str, Any] = LRUCache(CACHED_STATES)
        self._repository: Repository[str] = Repository(application.events, deepcopy_from_cache=False)
        self._repository.cache = self._cache

    def lineage(self, name: Lineage) -> LineageState:
        return self._load(lineage_stream(name), lineage.project) or LineageState(str(name))

    def symbol(self, series: Series, task: Task) -> SymbolState:
        return self._load(symbol_stream(series, task), symbol.project) or SymbolState(f"{series}/{task}")

    def session(self, session_id: str) -> SessionState:
        """NotFound for an unknown session."""
        state = self._load(session_stream(session_id), session.project)
        if state is None:
            raise NotFound(f"there is no training {session_id!r}; see ratchet trainings list")
        return state

    def dataset(self, digest: str) -> DatasetState:
        return self._load(dataset_stream(digest), dataset.project) or DatasetState(digest)

    def _load(self, stream: str, projector: Callable[[State | None, Iterable[Fact]], State | None]) -> State | None:
        untyped: Any = projector
        try:
            found: State = self._repository.get(stream, projector_func=untyped)
        except AggregateNotFoundError:
            return None
        self._cache.put(stream, found)
        return found


def lineage_stream(name: Lineage) -> str:
    return f"lineage/{name}"


def symbol_stream(series: Series, task: Task) -> str:
    return f"symbol/{series}/{task}"


def session_stream(session_id: str) -> str:
    return f"session/{session_id}"


def dataset_stream(digest: str) -> str:
    return f"dataset/{digest}"


def facts_after(stream: str, version: int, messages: Sequence[Message]) -> list[Fact]:
    """The messages as the next facts of a stream at `version`."""
    return [Fact(stream, number, message) for number, message in enumerate(messages, start=version + 1)]
