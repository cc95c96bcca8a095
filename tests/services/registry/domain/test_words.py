"""Sentences that people read: each names the numbers and the next step."""

from __future__ import annotations

from dataclasses import replace

import click
import numpy as np
import pytest

from ratchet.cli import cli
from ratchet.cli.connect import COMMAND
from ratchet.decisions.evidence import pack
from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.names import MODEL_TYPES, Lineage, ModelType
from services.registry.domain import words
from services.registry.domain.plateau import FlatSession
from tests.support.registry_samples import bar, stamp

HOURLY = Lineage.parse("AAPL@1h/range-h5/random-forest")


def evidence(
    bars_needed: float | None, auc_low: float = 0.01, low: float | None = 1.04, refitted_low: float | None = None
) -> decision_pb2.Evidence:
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
            mean_difference=model_pb2.Interval(value=0.006, low=0.002, high=0.01),
            improvement_percent=model_pb2.Interval(value=3.12, low=low, high=5.2),
            auc_difference=model_pb2.Interval(value=0.02, low=auc_low, high=0.03),
            refitted_difference=model_pb2.Interval(value=0.002, low=refitted_low, high=0.004) if refitted_low else None,
            bars_needed=bars_needed,
        ),
    )


def first(**gains: tuple[float, float, float]) -> model_pb2.ModelRecord:
    """A first model with a Brier score of .251, and its gains over baselines whose score follows."""
    return model_pb2.ModelRecord(
        metrics=[model_pb2.Metric(name="brier", interval=model_pb2.Interval(value=0.251))],
        baselines=[
            model_pb2.Baseline(
                name=f"{name.replace('_', '-')}@baseline",
                metrics=[model_pb2.Metric(name="brier", interval=model_pb2.Interval(value=0.251 + value))],
                gain=model_pb2.Interval(value=value, low=low, high=high),
            )
            for name, (value, low, high) in gains.items()
        ],
    )


def test_a_first_model_that_loses_to_a_naive_baseline_says_so() -> None:
    better = (0.02, 0.01, 0.03)
    alone = "first model of its lineage: nothing to compare it with"
    assert words.first_model(first(base_rate=better, persistence=better, har=(-0.02, -0.03, -0.01))) == alone
    assert words.first_model(first(base_rate=better, persistence=(-0.011, -0.03, 0.008))) == (
        "first model of its lineage, and worse than persistence on its holdout:"
        " Brier 0.251 against 0.240 (gain -0.0110 [-0.0300, +0.0080])"
    )
    assert words.first_model(first(base_rate=(-0.011, -0.02, -0.002), persistence=(-0.006, -0.02, 0.008))) == (
        "first model of its lineage, and shown worse than base rate and worse than persistence on its holdout:"
        " Brier 0.251 against 0.240 (gain -0.0110 [-0.0200, -0.0020]) and 0.245 (gain -0.0060 [-0.0200, +0.0080])"
    )


def test_a_first_model_whose_holdout_is_degenerate_says_so() -> None:
    undefined = model_pb2.ModelRecord(metrics=[model_pb2.Metric(name="brier")])
    assert words.first_model(undefined) == (
        "first model of its lineage; its holdout has fewer than 20 bars of one class: no metric is defined"
    )


def test_a_promotion() -> None:
    assert words.promoted(evidence(100.0), "balanced") == (
        "A/range/logistic/v2 replaces A/range/logistic/v1: more skilled; E 31.2, p 0.004,"
        " Brier improvement +3.1 % [+1.0, +5.2] on 252 bars, 2006-01-02 to 2006-09-10;"
        " balanced asks for E of 20 and p below 0.05"
    )
    assert words.promoted(evidence(100.0, low=None), "plain").endswith("plain asks only for a better mean")


def test_it_is_called_more_skilled_where_the_ranking_or_what_is_left_after_refitting_says_so() -> None:
    said = {
        (auc_low, refitted_low): words.promoted(evidence(100.0, auc_low, refitted_low=refitted_low), "strict")
        for auc_low in (0.01, -0.1)
        for refitted_low in (0.001, -0.001, None)
    }
    calibrated = {case for case, text in said.items() if "better calibrated, not shown to be more skilled" in text}
    assert calibrated == {(-0.1, -0.001), (-0.1, None)}
    assert all(": more skilled; " in text for case, text in said.items() if case not in calibrated)


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


def degenerate(ones: int) -> decision_pb2.Evidence:
    """252 scored bars with so many of outcome 1."""
    found = evidence(None)
    found.packed = pack(np.full(252, 0.4), np.full(252, 0.6), np.arange(252) < ones, np.arange(252))
    for field in ("mean_difference", "improvement_percent", "auc_difference"):
        found.judgement.ClearField(field)
    return found


@pytest.mark.parametrize(("ones", "said"), [(0, "20 more bars"), (19, "1 more bar"), (240, "8 more bars")])
def test_too_few_bars_of_a_class_are_counted(ones: int, said: str) -> None:
    found = degenerate(ones)
    nothing = "fewer than 20 bars of one class among 252 scored bars: nothing can be compared yet;"
    for text in (
        words.declined(found, decision_pb2.VERDICT_INCONCLUSIVE, "balanced"),
        words.symbol_declined(found, "balanced", 2),
        words.no_new_bars(found, bar(0), HOURLY),
        words.inconclusive(found, HOURLY, words.Alternatives()).measurement,
    ):
        assert f"{nothing} {said} of that class needed" in text
        assert "Brier" not in text


def test_the_commands_name_timeframe_and_horizon() -> None:
    found = words.inconclusive(evidence(None), HOURLY, words.Alternatives())
    assert "ratchet data import AAPL FILE --timeframe 1h" in found.advice
    assert found.advice.endswith("ratchet train AAPL@1h --model har --target range --horizon 5")
    without = words.no_new_bars(evidence(352.0), bar(0), HOURLY)
    assert without == (
        "0 new bars since 2006-01-02, about 100 needed to see a gain of this size;"
        " import newer bars with ratchet data import AAPL FILE --timeframe 1h"
        " or try ratchet backtest AAPL@1h --model random-forest --target range --horizon 5"
    )


def test_the_best_of_a_symbol_that_stays() -> None:
    found = evidence(100.0)
    found.champion = "A/range/xgboost/v4"
    numbers = "E 31.2, p 0.004, Brier improvement +3.1 % [+1.0, +5.2] on 252 bars, 2006-01-02 to 2006-09-10"
    assert words.symbol_declined(found, "balanced", 2) == (
        "A/range/xgboost/v4 stays the symbol's best: A/range/logistic/v2 is not shown to be better:"
        f" {numbers}; balanced asks for E of 40 for 2 lineages and p below 0.05"
    )
    found.judgement.verdict = decision_pb2.VERDICT_REJECTED
    assert words.symbol_declined(found, "balanced", 2) == (
        "A/range/xgboost/v4 stays the symbol's best: it is better than A/range/logistic/v2:"
        f" {numbers}; E of the reverse 0.01, 20 rejects"
    )
    found.judgement.bars = 119
    assert words.symbol_declined(found, "balanced", 2).endswith(
        "best: 119 common bars with A/range/logistic/v2, 120 needed"
    )


FLAT = tuple(FlatSession(version, 60 * version, 0.2, -1.0, 1.44) for version in (4, 5, 6))


def test_saturation_shows_the_gains_that_were_not_there() -> None:
    assert words.plateau(FLAT, HOURLY, words.Alternatives()).measurement == (
        "no new pattern in 3 sessions in a row, nor a gain that can be seen: v4 +0.2 % [-1.0, +1.4] on 240 bars,"
        " v5 +0.2 % [-1.0, +1.4] on 300 bars, v6 +0.2 % [-1.0, +1.4] on 360 bars"
    )


def test_the_next_type_is_the_simplest_that_was_not_tried_and_the_best_when_all_were() -> None:
    def next_type(tried: tuple[str, ...], best: str = "") -> str:
        found = words.plateau(FLAT, HOURLY, words.Alternatives(frozenset(tried), best)).advice
        return found.partition(" --model ")[2].partition(" ")[0]

    assert next_type(()) == "har"
    assert next_type(("har", "random-forest")) in MODEL_TYPES
    for kind in set(MODEL_TYPES) - {"random-forest"}:
        assert next_type(tuple(set(MODEL_TYPES) - {kind})) == kind
    assert next_type(MODEL_TYPES, "AAPL@1h/range-h5/xgboost/v2") == "xgboost"
    assert next_type(MODEL_TYPES, "AAPL@1h/range-h5/random-forest/v2") == ""


@pytest.mark.parametrize("model_type", ["har", "random-forest"])
@pytest.mark.parametrize("tried", [(), MODEL_TYPES])
def test_every_advice_has_a_command_that_runs(model_type: ModelType, tried: tuple[ModelType, ...]) -> None:
    lineage = replace(HOURLY, model_type=model_type)
    known = words.Alternatives(frozenset(tried), "AAPL@1h/range-h5/xgboost/v2")
    for diagnosis in (
        words.no_new_evidence(bar(0), lineage),
        words.regime_shift("AUC 0.71", lineage),
        words.overfit("gap 0.01", lineage, known),
        words.plateau(FLAT, lineage, known),
        words.inconclusive(evidence(None), lineage, known),
    ):
        commands = COMMAND.findall(diagnosis.advice)
        assert commands
        for text in commands:
            name, command, rest = cli.resolve_command(click.Context(cli), text.split()[1:])
            while isinstance(command, click.Group):
                with click.Context(command) as ctx:
                    name, command, rest = command.resolve_command(ctx, rest)
            assert command is not None
            command.make_context(name, rest)
