"""The format of a stored event: an Envelope around the fact of its topic, in canonical bytes, on the fact's stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError, Message

from ratchet.errors import CorruptData
from ratchet.events.v1 import decision_pb2, envelope_pb2, facts_pb2
from ratchet.transparency.keys import KEYS_STREAM


def _decision_stream(fact: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined) -> str:
    symbol = fact.scope == decision_pb2.SCOPE_SYMBOL
    return f"symbol/{fact.lineage.rpartition('/')[0]}" if symbol else f"lineage/{fact.lineage}"


def _session_stream(fact: Any) -> str:
    return f"session/{fact.session_id}"


_FACT_TYPES: tuple[tuple[type[Message], Callable[[Any], str]], ...] = (
    (facts_pb2.DatasetRegistered, lambda fact: f"dataset/{fact.digest}"),
    (facts_pb2.TrainingRequested, _session_stream),
    (facts_pb2.TrainingCompleted, _session_stream),
    (facts_pb2.TrainingFailed, _session_stream),
    (facts_pb2.TrainingCancelled, _session_stream),
    (facts_pb2.ModelTrained, lambda fact: f"lineage/{fact.record.lineage}"),
    (facts_pb2.ModelPromoted, _decision_stream),
    (facts_pb2.PromotionDeclined, _decision_stream),
    (facts_pb2.PatternOffered, lambda fact: f"pattern/{fact.pattern.id}"),
    (facts_pb2.PatternDiscovered, lambda fact: f"pattern/{fact.pattern.id}"),
    (facts_pb2.PatternValidated, lambda fact: f"pattern/{fact.pattern_id}"),
    (facts_pb2.PatternRetired, lambda fact: f"pattern/{fact.pattern_id}"),
    (facts_pb2.FeaturesRanked, lambda fact: f"features/{fact.lineage}"),
    (facts_pb2.KeyIntroduced, lambda _: KEYS_STREAM),
)
"""Every fact type, and the stream of a fact."""

FACTS: Mapping[str, type[Message]] = {kind.DESCRIPTOR.full_name: kind for kind, _ in _FACT_TYPES}
_STREAM_OF_TOPIC = {kind.DESCRIPTOR.full_name: stream for kind, stream in _FACT_TYPES}


def parse_event(topic: str, state: bytes) -> tuple[envelope_pb2.Envelope, Message]:
    """The envelope and the fact of an event.

    CorruptData for an unknown topic, for bytes that do not parse, and for a serialisation that is not canonical.
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
    """The stream of a fact of this topic."""
    return _STREAM_OF_TOPIC[topic](fact)
