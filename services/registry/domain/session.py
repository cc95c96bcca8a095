"""A training session, stream session/<id>: requested, then once completed, failed or cancelled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ratchet.decisions.comparison import Verdict
from ratchet.decisions.persistent import fast_replace
from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import facts_pb2
from services.platform.facts import Fact

End: TypeAlias = facts_pb2.TrainingCompleted | facts_pb2.TrainingFailed | facts_pb2.TrainingCancelled


@dataclass(frozen=True)
class SessionState:
    """`version`: of the stream; `end`: the fact that ended the session, None while it is open."""

    request: facts_pb2.TrainingRequested
    version: int
    end: End | None = None

    @property
    def session_id(self) -> str:
        return self.request.session_id


def project(state: SessionState | None, facts: Iterable[Fact]) -> SessionState | None:
    """`state` after `facts`; None for an unknown session."""
    for fact in facts:
        message = fact.message
        if isinstance(message, facts_pb2.TrainingRequested):
            state = SessionState(message, fact.version)
        elif state is not None and isinstance(message, End):
            state = fast_replace(state, version=fact.version, end=message)
    return state


def complete(state: SessionState, model: str, verdict: Verdict, promoted: bool) -> facts_pb2.TrainingCompleted:
    """The session ends with `model`."""
    require_open(state)
    return facts_pb2.TrainingCompleted(
        session_id=state.session_id, lineage=state.request.lineage, model=model, verdict=verdict, promoted=promoted
    )


def fail(state: SessionState, reason: str, message: str) -> facts_pb2.TrainingFailed:
    """The session ends without a model; `reason` is UPPER_SNAKE, as in ratchet.errors."""
    require_open(state)
    if not reason:
        raise InvalidInput(
            f"a failure of training {state.session_id} needs a reason, such as DATA_REFUSED",
            fields={"reason": "missing"},
        )
    return facts_pb2.TrainingFailed(
        session_id=state.session_id, lineage=state.request.lineage, reason=reason, message=message
    )


def cancel(state: SessionState, reason: str) -> facts_pb2.TrainingCancelled:
    """The session is cancelled."""
    require_open(state)
    return facts_pb2.TrainingCancelled(session_id=state.session_id, lineage=state.request.lineage, reason=reason)


def require_open(state: SessionState) -> None:
    """PreconditionFailed, with the kind of its end, for an ended session."""
    match state.end:
        case None:
            return
        case facts_pb2.TrainingCompleted(model=model):
            how = f"it completed with {model}"
        case facts_pb2.TrainingFailed(reason=reason):
            how = f"it failed with {reason}"
        case facts_pb2.TrainingCancelled():
            how = "it was cancelled"
    raise PreconditionFailed(f"training {state.session_id} has ended: {how}; a session ends once, start another one")
