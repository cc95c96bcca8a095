"""Answers of the registry as values of a backtest."""

import math

from ratchet.backtest.records import session_of
from ratchet.backtest.wording import percent
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.registry.v1 import registry_pb2

LINEAGE = "AAPL/range/har"


def evidence(improvement: model_pb2.Interval | None) -> decision_pb2.Evidence:
    judged = decision_pb2.Judgement(
        verdict=decision_pb2.VERDICT_INCONCLUSIVE, bars=120, improvement_percent=improvement
    )
    return decision_pb2.Evidence(champion=f"{LINEAGE}/v1", contender=f"{LINEAGE}/v2", judgement=judged)


def test_an_improvement_that_is_not_defined_is_not_zero() -> None:
    declined = facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_LINEAGE,
        verdict=decision_pb2.VERDICT_INCONCLUSIVE,
        evidence=[
            evidence(None),
            evidence(model_pb2.Interval(value=1.5)),
            evidence(model_pb2.Interval(low=-1, high=1)),
        ],
    )
    training = registry_pb2.Training(model=f"{LINEAGE}/v2")
    session = session_of(0, training, [registry_pb2.Decision(declined=declined)], f"{LINEAGE}/v1")
    undefined, bare, zero = (pair.improvement_percent for pair in session.tested)
    assert math.isnan(undefined.value)
    assert [percent(found) for found in (undefined, bare, zero)] == ["not defined", "+1.5 %", "0.0 % [-1.0, +1.0]"]
