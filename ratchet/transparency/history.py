"""Referential checks over a log, and recomputation of its decisions.

Each fact must refer to earlier sessions, data sets, models and patterns, and each decision must follow from the state
before it. A `FactVerifier` takes the facts of a log in order and yields violations as text. It continues after a
finding. Its memory is bounded: a few numbers for each version, nothing for an ended session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import Message

from ratchet.decisions.replay import DecisionReplay
from ratchet.events.v1 import facts_pb2, pattern_pb2
from ratchet.transparency.datasets import DatasetVerifier
from ratchet.transparency.references import ArtifactReferences, NamePositions


class OpenSession(NamedTuple):
    lineage: str
    policy: str


class KnownPattern(NamedTuple):
    """`counts`: those after its newest fact, serialised."""

    series: str
    task: str
    counts: bytes


OFFERED_COUNTS = b"offered"
"""Stands for the counts of an offered pattern that no session of its series has tested yet."""

UNKNOWN_PATTERN = KnownPattern("", "", b"")


class FactVerifier:
    """`artifacts`: the artifacts that the log refers to; `replay`: the decisions, made again."""

    def __init__(self) -> None:
        self.artifacts = ArtifactReferences()
        self.replay = DecisionReplay()
        self.requested, self.ended = NamePositions(), NamePositions()
        self._open: dict[str, OpenSession] = {}
        self._datasets = DatasetVerifier()
        self._patterns: dict[str, KnownPattern] = {}
        self._handlers: Mapping[str, Callable[[Any, int], Iterable[str]]] = {
            kind.DESCRIPTOR.full_name: handler
            for kind, handler in (
                (facts_pb2.DatasetRegistered, self._registered),
                (facts_pb2.TrainingRequested, self._requested),
                (facts_pb2.TrainingCompleted, self._completed),
                (facts_pb2.TrainingFailed, self._ended),
                (facts_pb2.TrainingCancelled, self._ended),
                (facts_pb2.ModelTrained, self._trained),
                (facts_pb2.ModelPromoted, self.replay.decided),
                (facts_pb2.PromotionDeclined, self.replay.decided),
                (facts_pb2.PatternOffered, self._offered),
                (facts_pb2.PatternDiscovered, self._discovered),
                (facts_pb2.PatternValidated, self._validated),
                (facts_pb2.PatternRetired, self._validated),
            )
        }

    def add(self, position: int, stream: str, topic: str, fact: Message) -> Iterator[str]:
        """Checks the next fact."""
        yield from self.replay.next_fact(position, stream)
        handler = self._handlers.get(topic)
        if handler is not None:
            yield from handler(fact, position)

    def is_open(self, session_id: str) -> bool:
        """Whether a session was requested and has not ended."""
        return session_id in self._open

    def finish(self) -> Iterator[str]:
        """The findings at the end of the log, each with its position."""
        yield from self.replay.finish()
        yield from self._datasets.finish()
        for first, again in self.requested.repeated():
            yield f"position {again}: it requests the session of position {first} again"
        for first, again in self.ended.repeated():
            yield f"position {again}: it ends the session that position {first} had ended"

    def _registered(self, fact: facts_pb2.DatasetRegistered, position: int) -> Iterator[str]:
        yield from self._datasets.add(fact, position)
        if fact.artifact.digest:
            self.artifacts.add(fact.artifact.digest, position, fact.artifact.size_bytes)

    def _requested(self, fact: facts_pb2.TrainingRequested, position: int) -> Iterator[str]:
        self.requested.add(fact.session_id, position)
        self._open[fact.session_id] = OpenSession(fact.lineage, fact.policy)
        yield from self._datasets.require(fact.dataset_digest, _series(fact.lineage), position)

    def _ended(
        self, fact: facts_pb2.TrainingFailed | facts_pb2.TrainingCancelled | facts_pb2.TrainingCompleted, position: int
    ) -> Iterator[str]:
        found = self._open.pop(fact.session_id, None)
        self.ended.add(fact.session_id, position)
        if found is None:
            yield f"session {fact.session_id} was not open"
        elif found.lineage != fact.lineage:
            yield f"session {fact.session_id} was of {found.lineage}, not of {fact.lineage}"

    def _completed(self, fact: facts_pb2.TrainingCompleted, position: int) -> Iterator[str]:
        yield from self._ended(fact, position)
        yield from self.replay.completed(fact)

    def _trained(self, fact: facts_pb2.ModelTrained, position: int) -> Iterator[str]:
        record = fact.record
        session = self._open.get(record.session_id)
        if session is None or session.lineage != record.lineage:
            yield f"session {record.session_id or '(none)'} of {record.lineage} was not open"
        if not record.windows.HasField("fit_label_end"):
            yield "it does not say which labels its fits knew"
        if record.read_position >= position:
            yield f"it read the log up to position {record.read_position}, which is not before it"
        for use in record.patterns_used:
            if use.pattern_id not in self._patterns:
                yield f"it uses pattern {use.pattern_id}, which nobody had discovered"
        yield from self._datasets.require(record.dataset_digest, _series(record.lineage), position)
        if record.artifact.digest:
            self.artifacts.add(record.artifact.digest, position, record.artifact.size_bytes)
        yield from self.replay.trained(fact, session.policy if session else "", position)

    def _offered(self, fact: facts_pb2.PatternOffered, position: int) -> Iterator[str]:  # noqa: ARG002
        if fact.pattern.id in self._patterns:
            yield f"pattern {fact.pattern.id} was known there before it was offered"
        if fact.from_pattern_id not in self._patterns:
            yield f"pattern {fact.from_pattern_id}, from which it was offered, was never discovered"
        self._patterns[fact.pattern.id] = KnownPattern(fact.pattern.series, fact.pattern.task, OFFERED_COUNTS)

    def _discovered(self, fact: facts_pb2.PatternDiscovered, position: int) -> Iterator[str]:
        known = self._patterns.get(fact.pattern.id)
        if known is not None and known.counts != OFFERED_COUNTS:
            yield f"pattern {fact.pattern.id} had been discovered before"
        self._patterns[fact.pattern.id] = KnownPattern(fact.pattern.series, fact.pattern.task, b"")
        yield from self._tested(fact.pattern.id, fact.evidence, pattern_pb2.PatternCounts(), fact.after, position)

    def _validated(self, fact: facts_pb2.PatternValidated | facts_pb2.PatternRetired, position: int) -> Iterator[str]:
        known = self._patterns.get(fact.pattern_id, UNKNOWN_PATTERN)
        if not known.series:
            yield f"pattern {fact.pattern_id} was never discovered"
        elif known.counts != fact.before.SerializeToString(deterministic=True):
            yield f"its counts before are not those that the fact before it on pattern {fact.pattern_id} left"
        yield from self._tested(fact.pattern_id, fact.evidence, fact.before, fact.after, position)

    def _tested(
        self,
        pattern: str,
        evidence: pattern_pb2.BarEvidence,
        before: pattern_pb2.PatternCounts,
        after: pattern_pb2.PatternCounts,
        position: int,
    ) -> Iterator[str]:
        """Counts are of the union of all evidence: new bars add to them, and nothing is removed."""
        known = self._patterns.get(pattern, UNKNOWN_PATTERN)
        self._patterns[pattern] = known._replace(counts=after.SerializeToString(deterministic=True))
        carried = sum(span.bars for span in evidence.spans)
        if not before.bars <= after.bars <= before.bars + carried or not 0 <= after.hits <= after.support <= after.bars:
            yield f"counts of {before.bars} bars can't become {after.bars} by evidence on {carried}"
        if known.series and (evidence.spans or evidence.dataset_digest):
            yield from self._datasets.check_evidence(evidence, known.series, known.task, position)


def _series(lineage: str) -> str:
    return lineage.partition("/")[0]
