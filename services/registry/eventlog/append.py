"""Value types of the log: appends, and recorded events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from google.protobuf.message import DecodeError

from ratchet.errors import CorruptData, InvalidInput
from ratchet.events.v1 import envelope_pb2
from services.platform.facts import Fact, from_state

LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of an append.

    `request_id` makes it idempotent; `fingerprint`, the SHA-256 of the request's bytes, detects another request with
    the same id.
    """

    request_id: str
    fingerprint: bytes
    actor: str
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class Append:
    """Facts that enter the log all together, or not at all; of each only stream, version, message and causation id are
    taken."""

    origin: Origin
    facts: tuple[Fact, ...]

    def check(self) -> None:
        """InvalidInput for an append that is invalid in every state of the log."""
        if not self.origin.request_id:
            raise InvalidInput(
                "a write needs a request id; send a new one with each new request", fields={"request_id": "missing"}
            )
        if not self.facts:
            raise InvalidInput("an append needs at least one event", fields={"events": "empty"})
        _require_name("request_id", self.origin.request_id)
        for fact in self.facts:
            _require_name("stream", fact.stream)
            if fact.version < 1:
                raise InvalidInput(
                    f"version {fact.version} of {fact.stream} can't be; the first event of a stream has version 1",
                    fields={"version": "below 1"},
                )


@dataclass(frozen=True)
class RecordedEvent:
    """An event of the log, exactly as stored; parsed on first use."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes

    @classmethod
    def of(cls, position: int, fact: Fact, origin: Origin, event_id: str, now: datetime) -> RecordedEvent:
        """A new fact as the event at `position`, in canonical bytes; neither is parsed again."""
        payload = fact.message.SerializeToString(deterministic=True)
        envelope = envelope_pb2.Envelope(
            event_id=event_id,
            actor=origin.actor,
            request_id=origin.request_id,
            correlation_id=origin.correlation_id,
            causation_id=fact.causation_id,
            payload=payload,
        )
        envelope.recorded_at.FromDatetime(now)
        made = cls(position, fact.stream, fact.version, fact.topic, envelope.SerializeToString(deterministic=True))
        recorded = Fact(
            originator_id=fact.stream,
            originator_version=fact.version,
            message=fact.message,
            causation_id=fact.causation_id,
            event_id=event_id,
            recorded_at=now,
            actor=origin.actor,
            request_id=origin.request_id,
            correlation_id=origin.correlation_id,
            payload=payload,
        )
        vars(made).update(envelope=envelope, fact=recorded)
        return made

    @cached_property
    def envelope(self) -> envelope_pb2.Envelope:
        """CorruptData for malformed bytes, which can't enter through the log's API."""
        try:
            return envelope_pb2.Envelope.FromString(self.state)
        except DecodeError as error:
            raise CorruptData(
                f"the event at position {self.position} is damaged: {error}; restore the database from a backup"
            ) from error

    @cached_property
    def fact(self) -> Fact:
        return from_state(self.stream, self.version, self.topic, self.state)

    @property
    def recorded_at(self) -> datetime:
        """UTC, aware."""
        return self.envelope.recorded_at.ToDatetime(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The answer to an append; `replayed` if the same request had been answered before."""

    events: tuple[RecordedEvent, ...]
    replayed: bool = False

    @property
    def positions(self) -> tuple[int, ...]:
        return tuple(event.position for event in self.events)


def _require_name(what: str, name: str) -> None:
    if "\0" in name:
        raise InvalidInput(f"a {what} has no NUL character; leave it out of {name!r}", fields={what: "has a NUL"})
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidInput(
            f"a {what} has 1 to {LONGEST_NAME} characters; {len(name)} given", fields={what: "wrong length"}
        )
