"""A training session ends once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import decision_pb2, facts_pb2
from services.platform.facts import Fact
from services.registry.domain import session
from services.registry.domain.session import End, SessionState

OPEN = SessionState(facts_pb2.TrainingRequested(session_id="s1", lineage="AAPL/range/logistic"), version=1)
ENDS: dict[str, Callable[[SessionState], End]] = {
    "completed": lambda state: session.complete(state, "AAPL/range/logistic/v1", decision_pb2.VERDICT_PROMOTED, True),
    "failed": lambda state: session.fail(state, "DATA_REFUSED", "600 bars needed"),
    "cancelled": lambda state: session.cancel(state, "not now"),
}


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
def test_a_second_end_is_refused_with_the_first(first: str, second: str) -> None:
    ended = session.project(OPEN, [Fact("session/s1", 2, ENDS[first](OPEN))])
    assert ended is not None
    assert ended.version == 2
    with pytest.raises(PreconditionFailed, match=f"training s1 has ended: .*{first}"):
        ENDS[second](ended)


def test_a_failure_needs_a_reason() -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        session.fail(OPEN, "", "something")


def test_a_session_that_nobody_requested_does_not_exist() -> None:
    assert session.project(None, []) is None
