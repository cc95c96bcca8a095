"""One fact of a pattern's stream.

Its bars and counts stay packed until they are needed: parsed they would take five times the memory, and most are never
read.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeAlias

from ratchet.errors import InvalidInput
from ratchet.events.v1 import decision_pb2, facts_pb2, pattern_pb2
from services.knowledge.domain.counts import Counts
from services.knowledge.domain.rules import State
from services.platform.facts import Fact

Message: TypeAlias = (
    facts_pb2.PatternOffered | facts_pb2.PatternDiscovered | facts_pb2.PatternValidated | facts_pb2.PatternRetired
)

_STATES = {int(state): state for state in State}


class Change(NamedTuple):
    """A fact with the resulting state.

    session_id         session of the evidence; empty for a person's decision and a change of subsumption alone
    lineage            that of the session; empty for a retirement
    market_time        that of the session, epoch seconds; None for a person's decision
    reason             of an offer or a retirement
    by_person          a person retired it
    covered_by         id of the subsuming pattern in state COVERED, else empty
    passed_first_test  None if it is no first test
    kind, payload      its message, packed
    """

    version: int
    position: int
    recorded_at: datetime | None
    request_id: str
    session_id: str
    lineage: str
    market_time: int | None
    state: State
    reason: str
    by_person: bool
    covered_by: str
    passed_first_test: bool | None
    kind: type[Message]
    payload: bytes

    @classmethod
    def of(cls, fact: Fact, message: Message, position: int) -> Change:
        """`message` is the fact's; InvalidInput for an unknown state."""
        session_id, lineage, reason, covered_by = "", "", "", ""
        by_person, passed, market_time = False, None, None
        if not isinstance(message, facts_pb2.PatternOffered) and message.HasField("market_time"):
            market_time = message.market_time.seconds
        match message:
            case facts_pb2.PatternValidated():
                state, session_id, lineage = _state(message.state), message.session_id, message.lineage
                covered_by = message.covered_by
                if message.HasField("p_value") and message.evidence.spans:
                    passed = message.passed
            case facts_pb2.PatternDiscovered():
                state, session_id, lineage = _state(message.state), message.session_id, message.lineage
                covered_by = message.covered_by
                # Discoveries of an earlier form don't say that they passed: their state does.
                passed = message.passed or state is not State.REFUTED
            case facts_pb2.PatternRetired():
                state, session_id, reason = State.RETIRED, message.session_id, message.reason
                by_person = message.decided_by == decision_pb2.DECIDED_BY_PERSON
            case facts_pb2.PatternOffered():
                state, reason = State.OFFERED, message.reason
        return cls(
            fact.version,
            position,
            fact.recorded_at,
            fact.request_id,
            session_id,
            lineage,
            market_time,
            state,
            reason,
            by_person,
            covered_by if state is State.COVERED else "",
            passed,
            type(message),
            fact.payload or message.SerializeToString(deterministic=True),
        )

    @property
    def message(self) -> Message:
        return self.kind.FromString(self.payload)

    @property
    def counts(self) -> Counts:
        """The counts after the fact; all zero for an offer."""
        message = self.message
        return Counts() if isinstance(message, facts_pb2.PatternOffered) else Counts.read(message.after)

    @property
    def evidence(self) -> pattern_pb2.BarEvidence:
        """The evidence of the fact, packed; empty for an offer."""
        message = self.message
        return pattern_pb2.BarEvidence() if isinstance(message, facts_pb2.PatternOffered) else message.evidence


def _state(number: int) -> State:
    found = _STATES.get(number)
    if found is None:
        raise InvalidInput(f"{number} is no state of a pattern")
    return found
