"""Facts as domain events: the eventsourcing library stores an Envelope around a protobuf message.

A topic is the message's full name, so no Python class path reaches the log. The commit adds event id, time, actor and
request to the state: serialised protobuf messages can be concatenated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from eventsourcing.persistence import Mapper, StoredEvent
from google.protobuf.message import Message

from ratchet.errors import InvalidInput
from ratchet.events.v1 import envelope_pb2
from ratchet.transparency.event_format import FACTS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of a stream. The fields from `event_id` on are empty until the fact has been committed."""

    originator_id: str
    originator_version: int
    message: Message
    causation_id: str = ""
    event_id: str = ""
    recorded_at: datetime | None = None
    actor: str = ""
    request_id: str = ""
    correlation_id: str = ""
    payload: bytes = field(default=b"", compare=False, repr=False)
    """The serialised message as stored in the log."""

    @property
    def stream(self) -> str:
        return self.originator_id

    @property
    def version(self) -> int:
        return self.originator_version

    @property
    def topic(self) -> str:
        return self.message.DESCRIPTOR.full_name


def parse(topic: str, payload: bytes) -> Message:
    """The message of a payload; InvalidInput for an unknown topic, or for bytes that are not that message."""
    kind = FACTS.get(topic)
    if kind is None:
        raise InvalidInput(
            f"{topic!r} is not a fact of this log; known: {', '.join(FACTS)}", fields={"topic": "unknown"}
        )
    try:
        return kind.FromString(payload)
    except Exception as error:
        raise InvalidInput(f"the payload is not a {topic}: {error}", fields={"payload": "can't be parsed"}) from error


def from_state(stream: str, version: int, topic: str, state: bytes) -> Fact:
    """The fact in a stored event."""
    return from_envelope(stream, version, topic, envelope_pb2.Envelope.FromString(state))


def from_envelope(stream: str, version: int, topic: str, envelope: envelope_pb2.Envelope) -> Fact:
    """The fact in an envelope; errors as `parse`."""
    payload, recorded_at = envelope.payload, None
    if envelope.HasField("recorded_at"):
        stamp = envelope.recorded_at
        recorded_at = EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
    return Fact(
        originator_id=stream,
        originator_version=version,
        message=parse(topic, payload),
        causation_id=envelope.causation_id,
        event_id=envelope.event_id,
        recorded_at=recorded_at,
        actor=envelope.actor,
        request_id=envelope.request_id,
        correlation_id=envelope.correlation_id,
        payload=payload,
    )


class FactMapper(Mapper[str]):
    """Maps Fact to StoredEvent and back."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        fact: Fact = domain_event
        envelope = envelope_pb2.Envelope(
            payload=fact.message.SerializeToString(deterministic=True), causation_id=fact.causation_id
        )
        return StoredEvent(
            originator_id=fact.originator_id,
            originator_version=fact.originator_version,
            topic=fact.topic,
            state=envelope.SerializeToString(deterministic=True),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return from_state(
            str(stored_event.originator_id), stored_event.originator_version, stored_event.topic, stored_event.state
        )
