"""Value types of the log: appends, and recorded events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from eventsourcing.persistence import StoredEvent
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
class NewEvent:
    """An event to append; `state` is an Envelope of which only payload and causation id are read."""

    stream: str
    version: int
    topic: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Append:
    """Events that enter the log all together, or not at all."""

    origin: Origin
    events: tuple[NewEvent, ...]

    @classmethod
    def of(cls, origin: Origin, stored: Iterable[StoredEvent]) -> Append:
        """The append of facts serialised by the library's mapper."""
        return cls(
            origin, tuple(NewEvent(str(s.originator_id), s.originator_version, s.topic, s.state) for s in stored)
        )

    def check(self) -> None:
        """InvalidInput for an append that is invalid in every state of the log."""
        if not self.origin.request_id:
            raise InvalidInput(
                "a write needs a request id; send a new one with each new request", fields={"request_id": "missing"}
            )
        if not self.events:
            raise InvalidInput("an append needs at least one event", fields={"events": "empty"})
        _require_name("request_id", self.origin.request_id)
        for event in self.events:
            _require_name("stream", event.stream)
            if event.version < 1:
                raise InvalidInput(
                    f"version {event.version} of {event.stream} can't be; the first event of a stream has version 1",
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
    def known(cls, position: int, fact: Fact, state: bytes, envelope: envelope_pb2.Envelope) -> RecordedEvent:
        """The event in `state`, with its parsed `envelope` and `fact`."""
        made = cls(position, fact.stream, fact.version, fact.topic, state)
        vars(made).update(envelope=envelope, fact=fact)
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
