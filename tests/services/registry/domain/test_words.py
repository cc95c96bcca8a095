"""Sentences that people read: each names the numbers and the next step."""

from __future__ import annotations

from registry_samples import bar, stamp

from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.names import Lineage
from services.registry.domain import words

HOURLY = Lineage.parse("AAPL@1h/range-h5/random-forest")


def evidence(bars_needed: float | None, auc_low: float = 0.01, low: float | None = 1.04) -> decision_pb2.Evidence:
    return decision_pb2.Evidence(
        champion="A/range/logistic/v1",
        contender="A/range/logistic/v2",
        first_bar=stamp(0),
        last_bar=stamp(251),
        judgement=decision_pb2.Judgement(
            bars=252,
            e_value=31.24,
            e_value_reverse=0.01,
            dm_p=0.0042,
            improvement_percent=model_pb2.Interval(value=3.12, low=low, high=5.2),
            auc_difference=model_pb2.Interval(value=0.02, low=auc_low, high=0.03),
            bars_needed=bars_needed,
        ),
    )


def test_a_promotion() -> None:
    assert words.promoted(evidence(100.0), "balanced") == (
        "A/range/logistic/v2 replaces A/range/logistic/v1: more skilled; E 31.2, p 0.004,"
        " Brier improvement +3.1 % [+1.0, +5.2] on 252 bars, 2006-01-02 to 2006-09-10;"
        " balanced asks for E of 20 and p below 0.05"
    )
    assert "better calibrated, not shown to be more skilled" in words.promoted(evidence(100.0, auc_low=-0.1), "strict")
    assert words.promoted(evidence(100.0, low=None), "plain").endswith("plain asks only for a better mean")


def test_the_bars_that_are_still_needed() -> None:
    inconclusive = decision_pb2.VERDICT_INCONCLUSIVE
    said = {
        needed: words.declined(evidence(needed), inconclusive, "strict").rpartition("; ")[2]
        for needed in (1252.0, 100.0, None)
    }
    assert said == {
        1252.0: "about 1,000 needed to see a gain of this size",
        100.0: "a few more needed to be sure",
        None: "how many bars are needed is not estimable, since it is not ahead",
    }


def test_the_commands_name_timeframe_and_horizon() -> None:
    found = words.inconclusive(evidence(None), HOURLY, words.Alternatives())
    assert "ratchet data import AAPL FILE --timeframe 1h" in found.advice
    assert found.advice.endswith("ratchet train AAPL@1h --model logistic --target range --horizon 5")
    without = words.no_new_bars(evidence(352.0), bar(0), HOURLY)
    assert without == (
        "0 new bars since 2006-01-02, about 100 needed to see a gain of this size;"
        " import newer bars with ratchet data import AAPL FILE --timeframe 1h"
    )
