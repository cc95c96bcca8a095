"""The form of a stored event: an envelope around the fact that its topic names, both in canonical bytes, on a stream
of the fact's kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError, Message

from ratchet.errors import CorruptData
from ratchet.events.v1 import decision_pb2, envelope_pb2, facts_pb2
from ratchet.transparency.checkpoints import KEYS_STREAM


def _of_decision(fact: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined) -> str:
    symbol = fact.scope == decision_pb2.SCOPE_SYMBOL
    return f"symbol/{fact.lineage.rpartition('/')[0]}" if symbol else f"lineage/{fact.lineage}"


def _of_session(fact: Any) -> str:
    return f"session/{fact.session_id}"


_FORMS: tuple[tuple[type[Message], Callable[[Any], str]], ...] = (
    (facts_pb2.DatasetRegistered, lambda fact: f"dataset/{fact.digest}"),
    (facts_pb2.TrainingRequested, _of_session),
    (facts_pb2.TrainingCompleted, _of_session),
    (facts_pb2.TrainingFailed, _of_session),
    (facts_pb2.TrainingCancelled, _of_session),
    (facts_pb2.ModelTrained, lambda fact: f"lineage/{fact.record.lineage}"),
    (facts_pb2.ModelPromoted, _of_decision),
    (facts_pb2.PromotionDeclined, _of_decision),
    (facts_pb2.PatternOffered, lambda fact: f"pattern/{fact.pattern.id}"),
    (facts_pb2.PatternDiscovered, lambda fact: f"pattern/{fact.pattern.id}"),
    (facts_pb2.PatternValidated, lambda fact: f"pattern/{fact.pattern_id}"),
    (facts_pb2.PatternRetired, lambda fact: f"pattern/{fact.pattern_id}"),
    (facts_pb2.FeaturesRanked, lambda fact: f"features/{fact.lineage}"),
    (facts_pb2.KeyIntroduced, lambda _: KEYS_STREAM),
)
"""Every fact, and the stream on which it belongs."""

FACTS: Mapping[str, type[Message]] = {kind.DESCRIPTOR.full_name: kind for kind, _ in _FORMS}
_STREAMS = {kind.DESCRIPTOR.full_name: stream for kind, stream in _FORMS}


def opened(topic: str, state: bytes) -> tuple[envelope_pb2.Envelope, Message]:
    """The envelope and the fact of an event.

    CorruptData for a topic that no fact has, for bytes that are not what the topic says, and for bytes of which another
    form says the same: what is stored has one form only.
    """
    kind = FACTS.get(topic)
    if kind is None:
        raise CorruptData(f"{topic!r} is no fact of this log; a newer ratchet may know it")
    try:
        envelope = envelope_pb2.Envelope.FromString(state)
        fact = kind.FromString(envelope.payload)
        canonical = (
            envelope.SerializeToString(deterministic=True) == state
            and fact.SerializeToString(deterministic=True) == envelope.payload
        )
    except DecodeError as error:
        raise CorruptData(f"its bytes are no {topic}: {error}") from error
    if not canonical:
        raise CorruptData(f"its bytes are not the canonical ones of its {topic}")
    return envelope, fact


def stream_of(topic: str, fact: Any) -> str:
    """The stream on which a fact of this topic belongs."""
    return _STREAMS[topic](fact)
