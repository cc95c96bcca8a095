"""What must hold of the log at the end, whatever happened meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import decision_pb2, envelope_pb2, facts_pb2
from tests.soak.ledger import Ledger

ENDS = ("TrainingCompleted", "TrainingFailed", "TrainingCancelled")
Stored = eventlog_pb2.StoredEvent


@dataclass(frozen=True)
class Read:
    """The log as it was read at the end: the events with the ids of the requests that wrote them."""

    events: Sequence[Stored]
    request_ids: Sequence[str]

    @classmethod
    def of(cls, events: Sequence[Stored]) -> Read:
        return cls(events, [envelope_pb2.Envelope.FromString(event.state).request_id for event in events])


def findings(log: Read, ledger: Ledger) -> list[str]:
    """What does not hold, in words."""
    return [*ledger.defects, *_dense(log), *_written(log, ledger), *_ended(log, ledger), *_champions(log, ledger)]


def _dense(log: Read) -> Iterator[str]:
    if [event.position for event in log.events] != list(range(1, len(log.events) + 1)):
        yield "the positions of the log are not 1, 2, 3, …"
    if len({(event.stream, event.version) for event in log.events}) != len(log.events):
        yield "a stream has two events of one version"


def _written(log: Read, ledger: Ledger) -> Iterator[str]:
    """Every acknowledged write is where its answer said, and every request was written once: in one batch."""
    positions: dict[str, list[int]] = defaultdict(list)
    for event, request_id in zip(log.events, log.request_ids, strict=True):
        positions[request_id].append(event.position)
    for write in ledger.writes:
        if write.position not in positions.get(write.request_id, ()):
            yield f"the {write.kind} {write.request_id} was acknowledged at {write.position} and is not there"
    for request_id, found in positions.items():
        if found[-1] - found[0] != len(found) - 1:
            yield f"the request {request_id} was written more than once: at {found}"


def _ended(log: Read, ledger: Ledger) -> Iterator[str]:
    facts: dict[str, list[str]] = defaultdict(list)
    for event in log.events:
        if event.stream.startswith("session/"):
            facts[event.stream.removeprefix("session/")].append(event.topic.rpartition(".")[2])
    for session_id, own in facts.items():
        if own[0] != "TrainingRequested" or len([fact for fact in own if fact in ENDS]) != 1:
            yield f"session {session_id} did not end once: {', '.join(own)}"
    for session_id in ledger.sessions - facts.keys():
        yield f"session {session_id} was acknowledged and is not in the log"


def _champions(log: Read, ledger: Ledger) -> Iterator[str]:
    """Each champion replaced the one before it, and whoever asked as of a position was told the one of then."""
    history: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for event in log.events:
        if not (event.topic.endswith(".ModelPromoted") and event.stream.startswith("lineage/")):
            continue
        promoted = facts_pb2.ModelPromoted.FromString(envelope_pb2.Envelope.FromString(event.state).payload)
        assert promoted.scope == decision_pb2.SCOPE_LINEAGE
        before = history[promoted.lineage][-1][1] if history[promoted.lineage] else ""
        if promoted.replaced != before:
            yield f"position {event.position}: {promoted.model} replaced {promoted.replaced}, but {before} was champion"
        history[promoted.lineage].append((event.position, promoted.model))
    for named in ledger.named:
        then = [model for position, model in history[named.lineage] if position <= named.position]
        if (then[-1] if then else "") != named.champion:
            yield f"{named.lineage} as of {named.position}: {named.champion!r} was named, not {then[-1:]}"
