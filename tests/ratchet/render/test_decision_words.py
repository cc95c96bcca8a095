"""Sentences on decisions and diagnoses: each names the numbers and the next step."""

from __future__ import annotations

import shlex
from dataclasses import replace

import click
import pytest

from ratchet.cli import cli
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, ModelType
from ratchet.render import diagnoses
from ratchet.render.decisions import reason
from tests.support.registry_samples import stamp

HOURLY = Lineage.parse("AAPL@1h/range-h5/random-forest")
LINEAGE, SYMBOL = decision_pb2.SCOPE_LINEAGE, decision_pb2.SCOPE_SYMBOL
V1, V2 = "A/range/logistic/v1", "A/range/logistic/v2"
INCONCLUSIVE, REJECTED = decision_pb2.VERDICT_INCONCLUSIVE, decision_pb2.VERDICT_REJECTED


def evidence(
    bars_needed: float | None, auc_low: float = 0.01, low: float | None = 1.04, refitted_low: float | None = None
) -> decision_pb2.Evidence:
    return decision_pb2.Evidence(
        champion=V1,
        contender=V2,
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


def promoted(basis: str, scope: decision_pb2.Scope.ValueType = LINEAGE, **fields: object) -> str:
    fact = facts_pb2.ModelPromoted(
        scope=scope,
        lineage="A/range/logistic",
        model=V2,
        replaced=V1,
        policy="balanced",
        basis=decision_pb2.Basis.Value(f"BASIS_{basis}"),
    )
    fact.MergeFrom(facts_pb2.ModelPromoted(**fields))  # type: ignore[arg-type]
    return reason(fact)


def declined(
    found: decision_pb2.Evidence,
    verdict: decision_pb2.Verdict.ValueType = INCONCLUSIVE,
    basis: str = "EVIDENCE",
    scope: decision_pb2.Scope.ValueType = LINEAGE,
    lineages: int = 0,
) -> facts_pb2.PromotionDeclined:
    return facts_pb2.PromotionDeclined(
        scope=scope,
        lineage="A/range/logistic",
        model=found.contender,
        champion=found.champion,
        policy="balanced",
        verdict=verdict,
        basis=decision_pb2.Basis.Value(f"BASIS_{basis}"),
        evidence=[found],
        decided_through=stamp(0),
        competing_lineages=lineages,
    )


def first(**gains: tuple[float, float, float]) -> decision_pb2.FirstModel:
    """A first model with a Brier score of .251, and its gains over the baselines that are ahead."""
    return decision_pb2.FirstModel(
        brier=0.251,
        ahead=[
            model_pb2.Baseline(
                name=f"{name.replace('_', '-')}@baseline", gain=model_pb2.Interval(value=value, low=low, high=high)
            )
            for name, (value, low, high) in gains.items()
        ],
    )


def test_a_first_model_that_loses_to_a_naive_baseline_says_so() -> None:
    assert promoted("FIRST", first_model=first()) == "first model of its lineage: nothing to compare it with"
    assert promoted("FIRST", first_model=first(persistence=(-0.011, -0.03, 0.008))) == (
        "first model of its lineage, and worse than persistence on its holdout:"
        " Brier 0.251 against 0.240 (gain -0.0110 [-0.0300, +0.0080])"
    )
    both = first(base_rate=(-0.011, -0.02, -0.002), persistence=(-0.006, -0.02, 0.008))
    assert promoted("FIRST", first_model=both) == (
        "first model of its lineage, and shown worse than base rate and worse than persistence on its holdout:"
        " Brier 0.251 against 0.240 (gain -0.0110 [-0.0200, -0.0020]) and 0.245 (gain -0.0060 [-0.0200, +0.0080])"
    )


def test_a_first_model_whose_holdout_is_degenerate_says_so() -> None:
    assert promoted("FIRST", first_model=decision_pb2.FirstModel()) == (
        "first model of its lineage; its holdout has fewer than 20 bars of one class: no metric is defined"
    )


def test_a_promotion() -> None:
    assert promoted("EVIDENCE", evidence=[evidence(100.0)]) == (
        "A/range/logistic/v2 replaces A/range/logistic/v1: more skilled; E 31.2, p 0.004,"
        " Brier improvement +3.1 % [+1.0, +5.2] on 252 bars, 2006-01-02 to 2006-09-10;"
        " balanced asks for E of 20 and p below 0.05"
    )
    plain = promoted("EVIDENCE", evidence=[evidence(100.0, low=None)], policy="plain")
    assert plain.endswith(
        "Brier improvement +3.1 % on 252 bars, 2006-01-02 to 2006-09-10; plain asks only for a better mean"
    )


def test_it_is_called_more_skilled_where_the_ranking_or_what_is_left_after_refitting_says_so() -> None:
    said = {
        (auc_low, refitted_low): promoted("EVIDENCE", evidence=[evidence(100.0, auc_low, refitted_low=refitted_low)])
        for auc_low in (0.01, -0.1)
        for refitted_low in (0.001, -0.001, None)
    }
    calibrated = {case for case, text in said.items() if "better calibrated, not shown to be more skilled" in text}
    assert calibrated == {(-0.1, -0.001), (-0.1, None)}
    assert all(": more skilled; " in text for case, text in said.items() if case not in calibrated)


def test_a_promotion_within_a_symbol() -> None:
    assert promoted("FIRST", SYMBOL) == "no comparison: the first lineage of A/range"
    assert (
        promoted("SUCCESSION", SYMBOL) == f"replaced {V1}, the symbol's best, in its own lineage, on the same evidence"
    )
    assert promoted("EVIDENCE", SYMBOL, evidence=[evidence(None)], competing_lineages=3).endswith(
        "; balanced asks for E of 60 for 3 lineages and p below 0.05"
    )
    removed = f"decided without evidence: {V1} was removed by a person (drift); {V2} stands in:"
    assert promoted("STAND_IN", SYMBOL, reason="drift") == f"{removed} no remaining champion was ever compared with it"
    assert promoted("STAND_IN", SYMBOL, reason="drift", stand_in_mean=-0.0012) == (
        f"{removed} the best paired mean of the remaining champions, -0.0012 against {V1}"
    )


def test_a_person_is_quoted() -> None:
    assert promoted("PERSON", reason="it is simpler") == "it is simpler"


def test_the_bars_that_are_still_needed() -> None:
    said = {needed: reason(declined(evidence(needed))).rpartition("; ")[2] for needed in (1252.0, 100.0, None)}
    assert said == {
        1252.0: "about 1,000 needed to see a gain of this size",
        100.0: "a few more needed to be sure",
        None: "how many bars are needed is not estimable, since it is not ahead",
    }


def test_a_better_champion_and_a_pair_without_a_bar() -> None:
    assert reason(declined(evidence(None), REJECTED)).endswith("; E of the reverse 0.01, 20 rejects")
    nothing = decision_pb2.Evidence(champion=V1, contender=V2)
    assert reason(declined(nothing)) == f"{V2} could not be compared with {V1}: no scored bar that both had not seen"


@pytest.mark.parametrize(("minority", "said"), [(0, "20 more bars"), (19, "1 more bar"), (12, "8 more bars")])
def test_too_few_bars_of_a_class_are_counted(minority: int, said: str) -> None:
    found = evidence(None)
    for field in ("mean_difference", "improvement_percent", "auc_difference"):
        found.judgement.ClearField(field)
    found.judgement.minority_bars = minority
    nothing = "fewer than 20 bars of one class among 252 scored bars: nothing can be compared yet;"
    unknown = decision_pb2.Diagnosis(inconclusive=decision_pb2.Inconclusive())
    for text in (
        reason(declined(found)),
        reason(declined(found, scope=SYMBOL, lineages=2)),
        reason(declined(found, basis="NO_NEW_BARS")),
        diagnoses.measurement(unknown, declined(found)),
    ):
        assert f"{nothing} {said} of that class needed" in text
        assert "Brier" not in text


def test_without_new_bars() -> None:
    assert reason(declined(evidence(352.0), decision_pb2.VERDICT_NO_NEW_EVIDENCE, "NO_NEW_BARS")) == (
        "0 new bars since 2006-01-02, about 100 needed to see a gain of this size"
    )


def test_the_best_of_a_symbol_that_stays() -> None:
    found = evidence(100.0)
    found.champion = "A/range/xgboost/v4"
    numbers = "E 31.2, p 0.004, Brier improvement +3.1 % [+1.0, +5.2] on 252 bars, 2006-01-02 to 2006-09-10"
    assert reason(declined(found, scope=SYMBOL, lineages=2)) == (
        "A/range/xgboost/v4 stays the symbol's best: A/range/logistic/v2 is not shown to be better:"
        f" {numbers}; balanced asks for E of 40 for 2 lineages and p below 0.05"
    )
    found.judgement.verdict = REJECTED
    assert reason(declined(found, scope=SYMBOL, lineages=2)) == (
        "A/range/xgboost/v4 stays the symbol's best: it is better than A/range/logistic/v2:"
        f" {numbers}; E of the reverse 0.01, 20 rejects"
    )
    found.judgement.bars = 119
    assert reason(declined(found, scope=SYMBOL)).endswith("best: 119 common bars with A/range/logistic/v2, 120 needed")
    unmeasured = declined(decision_pb2.Evidence(champion=V1, contender=V2), basis="UNMEASURED", scope=SYMBOL)
    assert reason(unmeasured).endswith(f"a person promoted {V2} without evidence against it")


def diagnosis(*advice: str, model_type: str = "", **finding: object) -> decision_pb2.Diagnosis:
    steps = [
        decision_pb2.Advice(kind=decision_pb2.AdviceKind.Value(f"ADVICE_KIND_{kind}"), model_type=model_type)
        for kind in advice
    ]
    return decision_pb2.Diagnosis(advice=steps, **finding)  # type: ignore[arg-type]


def ratchet(*words: str) -> str:
    return shlex.join(["ratchet", *words])


FLAT = [
    decision_pb2.FlatSession(
        model=f"A/range/logistic/v{version}",
        bars=60 * version,
        improvement_percent=model_pb2.Interval(value=0.2, low=-1.0, high=1.44),
    )
    for version in (4, 5, 6)
]


def test_measurements() -> None:
    excess = model_pb2.Interval(value=0.0123, low=0.004, high=0.02)
    said = {
        diagnoses.name(found): diagnoses.measurement(found, declined(evidence(None)))
        for found in (
            diagnosis(no_new_evidence=decision_pb2.NoNewEvidence(decided_through=stamp(0))),
            diagnosis(regime_shift=decision_pb2.RegimeShift(auc=0.714, holdout_bars=250, reference_windows=100)),
            diagnosis(overfit=decision_pb2.Overfit(excess=excess)),
            diagnosis(plateau=decision_pb2.Plateau(sessions=FLAT)),
            diagnosis(inconclusive=decision_pb2.Inconclusive()),
        )
    }
    assert said == {
        "no new evidence": "0 bars labelled since 2006-01-02",
        "regime shift": "AUC 0.71 between training and holdout features;"
        " none of 100 stretches of 250 bars within training reaches it",
        "overfit": "Brier loss from choose to holdout grows by 0.0123 more than the parent's,"
        " 95 % interval 0.0040 to 0.0200",
        "plateau": "no new pattern in 3 sessions in a row, nor a gain that can be seen:"
        " v4 +0.2 % [-1.0, +1.4] on 240 bars, v5 +0.2 % [-1.0, +1.4] on 300 bars,"
        " v6 +0.2 % [-1.0, +1.4] on 360 bars",
        "inconclusive": "E 31.2, p 0.004; how many bars are needed is not estimable, since it is not ahead",
    }


def test_advice_names_timeframe_and_horizon() -> None:
    advised = diagnosis("IMPORT_NEWER_BARS", "BACKTEST", no_new_evidence=decision_pb2.NoNewEvidence())
    assert diagnoses.advice(advised, HOURLY, ratchet) == (
        "import newer bars with ratchet data import AAPL FILE --timeframe 1h"
        " or try ratchet backtest AAPL@1h --model random-forest --target range --horizon 5"
    )
    again = diagnosis("IMPORT_NEWER_BARS", "TRAIN_AGAIN", regime_shift=decision_pb2.RegimeShift())
    assert diagnoses.advice(again, replace(HOURLY, model_type="har"), ratchet) == (
        "the newest bars are unlike those that the model learned from: import newer bars with"
        " ratchet data import AAPL FILE --timeframe 1h and train again with"
        " ratchet train AAPL@1h --model har --target range --horizon 5"
    )


@pytest.mark.parametrize(
    ("kind", "model_type"),
    [
        ("IMPORT_NEWER_BARS", None),
        ("IMPORT_LONGER_HISTORY", None),
        ("TRAIN_AGAIN", None),
        ("BACKTEST", None),
        ("TRY_UNTRIED_TYPE", "har"),
        ("TRY_BEST_TYPE", "xgboost"),
        ("TRY_SIMPLER_TYPE", "har"),
    ],
)
def test_every_advice_has_a_command_that_runs(kind: str, model_type: ModelType | None) -> None:
    asked: list[tuple[str, ...]] = []

    def command_line(*words: str) -> str:
        asked.append(words)
        return ratchet(*words)

    advised = diagnosis(kind, model_type=model_type or "", inconclusive=decision_pb2.Inconclusive())
    said = diagnoses.advice(advised, HOURLY, command_line)
    [given] = [words for words in asked if ratchet(*words) in said]
    assert model_type is None or model_type in given
    name, command, rest = cli.resolve_command(click.Context(cli), list(given))
    while isinstance(command, click.Group):
        with click.Context(command) as ctx:
            name, command, rest = command.resolve_command(ctx, rest)
    assert command is not None
    command.make_context(name, rest)
