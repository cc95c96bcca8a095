"""What the fuzzer must not do, for it is no defect: lie where the registry has to believe the services.

The trainer puts an artifact into the store before it names it, and measures what it records; the knowledge service
decides what becomes of a pattern. Nobody else may call these methods, and what they say is held against the rest of the
log by `ratchet log verify`: that is how a service that lies is found out. Nor may it start what takes minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from google.protobuf.message import DecodeError, Message

from ratchet.events.v1 import facts_pb2
from tests.fuzz.corpus import WHOLE, Corpus
from tests.fuzz.methods import Method

BELIEVED: Mapping[str, frozenset[str]] = {
    "RegisterDataset": frozenset(
        {
            "dataset.digest",
            "dataset.artifact.digest",
            "dataset.artifact.size_bytes",
            "dataset.previous_digest",
            "dataset.cut_from",
            "dataset.symbol",
            "dataset.timezone",
            "dataset.market_timezone",
        }
    ),
    "RecordTraining": frozenset(
        {
            "record.parent",
            "record.read_position",
            "record.artifact.digest",
            "record.artifact.size_bytes",
            "record.patterns_used.pattern_id",
        }
    ),
    "RecordEvidence": frozenset({"session_id", "tested.evidence.dataset_digest"}),
    "Append": frozenset({"events.causation_id"}),
}
"""Fields that have to be true: with a value that no accepted request has there, the request is not sent."""

TOLD = facts_pb2.FeaturesRanked.DESCRIPTOR.full_name
"""The one fact to append that follows from no other."""


def honest(method: Method, bodies: Sequence[bytes], corpus: Corpus) -> bool:
    """Whether these messages may be sent."""
    if method.name not in ("StartTraining", "RequestTraining", *BELIEVED):
        return True
    try:
        message = method.request.FromString(bodies[0])
    except DecodeError:
        return True
    if method.name not in BELIEVED:
        return WHOLE.encode() not in bodies[0]
    if method.name == "Append" and any(event.topic != TOLD for event in message.events):  # type: ignore[attr-defined]
        return False
    known = {said for messages in corpus.of(method) for said in _said(messages[0], BELIEVED[method.name])}
    return set(_said(message, BELIEVED[method.name])) <= known


def _said(message: Message, paths: frozenset[str], path: str = "") -> Iterator[tuple[str, object]]:
    """Each of these fields that the message has, with its value."""
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        for part in value if field.is_repeated else (value,):
            if isinstance(part, Message):
                yield from _said(part, paths, f"{name}.")
            elif name in paths:
                yield name, part
