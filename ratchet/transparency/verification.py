"""Verification of a whole log, from position 1: signatures, references and decisions.

    verifier = LogVerifier(checkpoints=checkpoints, trusted=[trusted_key])
    for event in events:
        verifier.add(event.position, event.stream, event.version, event.topic, event.state)
    report = verifier.finish()

Positions and versions are dense, times never decrease, ids are unique, bytes are canonical, every fact follows from
those before it, every decision from its own bytes (history.py), and every checkpoint has the root of the events up to
its size (signatures.py). Memory grows by some bytes per event, for the unique ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from ratchet.errors import CorruptData, RatchetError
from ratchet.events.v1 import envelope_pb2, facts_pb2
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.event_format import parse_event, stream_of
from ratchet.transparency.history import FactVerifier
from ratchet.transparency.keys import Key, TrustedKey
from ratchet.transparency.merkle import Frontier, Node, canonical_leaf, leaf_hash
from ratchet.transparency.references import ArtifactReferences, NamePositions, StreamVersions, unresolved
from ratchet.transparency.signatures import SignatureVerifier

MAX_FINDINGS = 1000
UNPROVEN_TAIL = (
    "the tail is not proven: whoever holds the key can drop the newest events and sign what is left;"
    " keep checkpoints elsewhere with --remember FILE"
)


@dataclass(frozen=True)
class VerificationReport:
    """`findings`: violations as text; `checked`: the checked things with counts; `notes`: limits of this verification.

    `size` and `root` are those of the tree over all events; `checkpoint`: the newest valid one, signed with `key`.
    """

    findings: tuple[str, ...]
    checked: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    size: int
    root: bytes
    checkpoint: Checkpoint | None
    key: Key | None

    @property
    def verified(self) -> bool:
        return not self.findings


class LogVerifier:
    """Takes every event in order, then `finish`. Its arguments are those of `SignatureVerifier`."""

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint] = (),
        remembered: Iterable[Checkpoint] = (),
        trusted: Sequence[TrustedKey] = (),
        signed_from: int = 0,
    ) -> None:
        self._tree = Frontier()
        self._signatures = SignatureVerifier(checkpoints, remembered, trusted, signed_from)
        self._history = FactVerifier()
        self._versions: dict[str, int] = {}
        self._datasets = StreamVersions()
        self._ids, self._requests, self._causes = NamePositions(), NamePositions(), NamePositions()
        self._position = self._recorded = 0
        self._findings: list[str] = []
        self._suppressed = 0
        self.request_id = ""

    @property
    def findings(self) -> tuple[str, ...]:
        return tuple(self._findings)

    @property
    def root(self) -> bytes:
        """The root of the tree over the events so far."""
        return self._tree.root()

    @property
    def size(self) -> int:
        return self._tree.size

    @property
    def artifacts(self) -> ArtifactReferences:
        """Every artifact that the events so far refer to."""
        return self._history.artifacts

    def add(self, position: int, stream: str, version: int, topic: str, state: bytes) -> list[Node]:
        """Checks the next event; returns the Merkle nodes that it completes. `request_id` is then the event's."""
        if position != self._position + 1:
            self.add_finding(
                f"position {position} comes after position {self._position}: events are missing or out of order"
            )
        self._position = position
        try:
            envelope, fact = parse_event(topic, state)
            if isinstance(fact, facts_pb2.KeyIntroduced):
                self._add_findings(self._signatures.add_key(fact, self._tree.size, self._tree.root()))
            self._check(position, stream, version, topic, envelope, fact)
        except (RatchetError, ValueError) as error:
            self.add_finding(f"position {position}: {error}")
        try:
            nodes = self._tree.append(leaf_hash(canonical_leaf(position, stream, version, topic, state)))
        except (RatchetError, ValueError) as error:
            self.add_finding(f"position {position}: no leaf can be made of it: {error}")
            nodes = self._tree.append(leaf_hash(state))
        if self._signatures.is_due(self._tree.size):
            self._add_findings(self._signatures.check_due(self._tree))
        return nodes

    def add_finding(self, finding: str) -> None:
        """Adds a finding; after the first thousand they are only counted."""
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(finding)
        else:
            self._suppressed += 1

    def finish(self) -> VerificationReport:
        """The report after the last event."""
        for first, again in self._ids.repeated():
            self.add_finding(f"position {again}: it has the event id of position {first}")
        for first, again in self._requests.repeated():
            self.add_finding(f"position {again}: its request id belongs to the request at position {first}")
        for position in unresolved(self._causes, self._history.requested, self._ids):
            self.add_finding(f"position {position}: what it names as its cause was not there before it")
        for position, version, expected in self._datasets.violations():
            self.add_finding(f"position {position}: it is version {version} of its stream, where {expected} is next")
        self._add_findings(self._history.finish())
        self._add_findings(self._signatures.finish(self._tree))
        findings = (*self._findings, *([f"and {self._suppressed} more"] if self._suppressed else []))
        checked = (
            ("events", self._tree.size),
            ("sessions", len(self._history.requested)),
            ("models", self._history.replay.models),
            ("decisions decided again", self._history.replay.decisions),
            ("keys", len(self._signatures.keys)),
            ("checkpoints", self._signatures.checked - self._signatures.remembered),
            ("remembered checkpoints", self._signatures.remembered),
        )
        notes = [] if self._signatures.remembered else [UNPROVEN_TAIL]
        if superseded := self._signatures.superseded:
            notes.append(
                f"of {superseded} older checkpoints the root was checked, and not the signatures: newer ones cover them"
            )
        return VerificationReport(
            findings,
            checked,
            tuple(notes),
            self._tree.size,
            self._tree.root(),
            self._signatures.newest,
            self._signatures.newest_key,
        )

    def _check(
        self,
        position: int,
        stream: str,
        version: int,
        topic: str,
        envelope: envelope_pb2.Envelope,
        fact: Message,
    ) -> None:
        self._check_envelope(position, envelope)
        if stream != (expected_stream := stream_of(topic, fact)):
            self.add_finding(f"position {position}: a {topic} of {expected_stream} lies on stream {stream}")
        self._check_version(position, stream, version, fact)
        for finding in self._history.add(position, stream, topic, fact):
            self.add_finding(f"position {position}: {finding}")

    def _check_envelope(self, position: int, envelope: envelope_pb2.Envelope) -> None:
        moment, event_id, request_id = envelope.recorded_at, envelope.event_id, envelope.request_id
        recorded = moment.seconds * 1_000_000_000 + moment.nanos
        if recorded < self._recorded or not recorded:
            self.add_finding(f"position {position}: it was recorded before the event in front of it")
        self._recorded = max(recorded, self._recorded)
        if not event_id or not request_id:
            self.add_finding(f"position {position}: it has no event id or no request id")
        self._ids.add(event_id, position)
        if request_id != self.request_id:
            self.request_id = request_id
            self._requests.add(request_id, position)
        cause = envelope.causation_id
        if cause and not self._history.is_open(cause):
            self._causes.add(cause, position)

    def _check_version(self, position: int, stream: str, version: int, fact: Message) -> None:
        """Checks the version of an event in its stream.

        A session's stream is dropped when the session ends; duplicate starts and ends are found by session id.
        """
        if isinstance(fact, facts_pb2.DatasetRegistered):
            self._datasets.add(stream, version, position)
            return
        if isinstance(fact, facts_pb2.TrainingRequested):
            expected = 1
        elif isinstance(fact, _SESSION_ENDS):
            expected = 2
        else:
            expected = self._versions.get(stream, 0) + 1
            self._versions[stream] = version
        if version != expected:
            self.add_finding(f"position {position}: it is version {version} of {stream}, where {expected} is next")

    def _add_findings(self, findings: Iterable[str]) -> None:
        for finding in findings:
            self.add_finding(finding)


_SESSION_ENDS = (facts_pb2.TrainingCompleted, facts_pb2.TrainingFailed, facts_pb2.TrainingCancelled)


def require_verified(report: VerificationReport, what: str) -> None:
    """CorruptData, with every finding, if there is one."""
    if report.findings:
        raise CorruptData(f"{what} is not what was signed:\n  " + "\n  ".join(report.findings))
