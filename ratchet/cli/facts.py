"""Decoding of a stored event to its envelope and fact, by its topic."""

from __future__ import annotations

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from ratchet.errors import CorruptData
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import envelope_pb2, facts_pb2

PACKAGE = facts_pb2.DESCRIPTOR.package


def read_fact(event: eventlog_pb2.StoredEvent) -> tuple[envelope_pb2.Envelope, Message]:
    """The envelope and the payload's fact; CorruptData for bytes that do not match the topic."""
    try:
        if not event.topic.startswith(f"{PACKAGE}."):
            raise KeyError(event.topic)
        kind = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(event.topic))
        envelope = envelope_pb2.Envelope.FromString(event.state)
        return envelope, kind.FromString(envelope.payload)
    except (KeyError, DecodeError) as error:
        raise CorruptData(
            f"the event at position {event.position} is not a {event.topic} that this version knows ({error});"
            " install the newest ratchet, and if that does not read it, the log was damaged"
        ) from error
