"""The texts of the registry's decisions: outcome, numbers and next step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ratchet.decisions import gate
from ratchet.decisions.evidence import unpack
from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.names import DEFAULT_HORIZON, MODEL_TYPES, Lineage, ModelType, Policy, baseline_words
from ratchet.statistics.scores import CLASS_ROWS, minority_count
from services.registry.domain.bar_times import day, seconds_of
from services.registry.domain.comparison import worse_than
from services.registry.domain.plateau import FlatSession

SIMPLEST: ModelType = "har"


@dataclass(frozen=True)
class Alternatives:
    """Alternatives for the series: the model types tried on it, and the symbol's best model (empty: none)."""

    tried: frozenset[str] = frozenset()
    symbol_best: str = ""


def first_model(record: model_pb2.ModelRecord) -> str:
    """The reason for the first champion of a lineage, and the naive baselines that beat it."""
    own = _brier(record.metrics)
    if own is None:
        return (
            f"first model of its lineage; its holdout has fewer than {CLASS_ROWS} bars of one class:"
            " no metric is defined"
        )
    worse = worse_than(record)
    if not worse:
        return "first model of its lineage: nothing to compare it with"
    named = " and ".join(f"{_shown_worse(each.gain)} than {baseline_words(each.name)}" for each in worse)
    scores = " and ".join(f"{own + each.gain.value:.3f} (gain {_gain(each.gain)})" for each in worse)
    return f"first model of its lineage, and {named} on its holdout: Brier {own:.3f} against {scores}"


def promoted(evidence: decision_pb2.Evidence, policy: Policy) -> str:
    """The reason for a promotion."""
    judgement = evidence.judgement
    shown = _above_zero(judgement.auc_difference) or _above_zero(judgement.refitted_difference)
    skill = "more skilled" if shown else "better calibrated, not shown to be more skilled"
    return f"{evidence.contender} replaces {evidence.champion}: {skill}; {_numbers(evidence)}; {_asked(policy, 1)}"


def declined(evidence: decision_pb2.Evidence, verdict: decision_pb2.Verdict.ValueType, policy: Policy) -> str:
    """The reason for declining, for a session with new bars."""
    champion, contender = evidence.champion, evidence.contender
    if verdict == decision_pb2.VERDICT_REJECTED:
        return f"{champion} is better than {contender}: {_numbers(evidence)}; E of the reverse {_e_reverse(evidence)}"
    if not evidence.judgement.bars:
        return f"{contender} could not be compared with {champion}: no scored bar that both had not seen"
    if _undefined(evidence.judgement):
        return f"{contender} could not be compared with {champion}: {_still_needed(evidence)}"
    return (
        f"{contender} is not shown to be better than {champion}: {_numbers(evidence)}; {_asked(policy, 1)};"
        f" {_still_needed(evidence)}"
    )


def no_new_bars(evidence: decision_pb2.Evidence, decided_through: int, lineage: Lineage) -> str:
    """The reason for not deciding on bars that were decided on before."""
    return f"0 new bars since {day(decided_through)}, {_still_needed(evidence)}; {_more_bars(lineage)}"


def no_new_evidence(decided_through: int, lineage: Lineage) -> decision_pb2.Diagnosis:
    return decision_pb2.Diagnosis(
        kind=decision_pb2.DIAGNOSIS_KIND_NO_NEW_EVIDENCE,
        measurement=f"0 bars labelled since {day(decided_through)}",
        advice=_more_bars(lineage),
    )


def inconclusive(
    evidence: decision_pb2.Evidence, lineage: Lineage, alternatives: Alternatives
) -> decision_pb2.Diagnosis:
    return decision_pb2.Diagnosis(
        kind=decision_pb2.DIAGNOSIS_KIND_INCONCLUSIVE,
        measurement=_still_needed(evidence)
        if _undefined(evidence.judgement)
        else f"E {_e(evidence.judgement.e_value)}, p {_p(evidence.judgement.dm_p)}; {_still_needed(evidence)}",
        advice=f"import newer bars with {_import(lineage)}{_other_type(lineage, alternatives)}",
    )


def regime_shift(measurement: str, lineage: Lineage) -> decision_pb2.Diagnosis:
    return decision_pb2.Diagnosis(
        kind=decision_pb2.DIAGNOSIS_KIND_REGIME_SHIFT,
        measurement=measurement,
        advice="the newest bars are unlike those that the model learned from: when there are more of them, import them"
        f" with {_import(lineage)} and train again with {train_command(lineage)}",
    )


def overfit(measurement: str, lineage: Lineage, alternatives: Alternatives) -> decision_pb2.Diagnosis:
    """A simpler model overfits less; for the simplest one another type may generalise better."""
    simplest = train_command(replace(lineage, model_type=SIMPLEST))
    other = (
        _other_type(lineage, alternatives)
        if lineage.model_type == SIMPLEST
        else f", or train a model that learns less by heart: {simplest}"
    )
    return decision_pb2.Diagnosis(
        kind=decision_pb2.DIAGNOSIS_KIND_OVERFIT,
        measurement=measurement,
        advice=f"the model learned what does not last: import a longer history with {_import(lineage)}{other}",
    )


def plateau(flat: Sequence[FlatSession], lineage: Lineage, alternatives: Alternatives) -> decision_pb2.Diagnosis:
    """After consecutive sessions without progress."""
    gains = ", ".join(
        f"v{session.version} {_limits(session.gain, session.low, session.high)} on {session.bars} bars"
        for session in flat
    )
    return decision_pb2.Diagnosis(
        kind=decision_pb2.DIAGNOSIS_KIND_SATURATED,
        measurement=f"no new pattern in {len(flat)} sessions in a row, nor a gain that can be seen: {gains}",
        advice="the lineage has learned what it can from bars like these: import newer ones with"
        f" {_import(lineage)}{_other_type(lineage, alternatives)}",
    )


def first_of_symbol(symbol: str) -> str:
    return f"no comparison: the first lineage of {symbol}"


def succession(replaced: str) -> str:
    return f"replaced {replaced}, the symbol's best, in its own lineage, on the same evidence"


def stands_in(removed: str, model: str, mean: float | None, reason: str) -> str:
    """The reason for a new symbol's best after a person removed the old one."""
    if mean is None:
        measured = "no remaining champion was ever compared with it"
    else:
        measured = f"the best paired mean of the remaining champions, {mean:+.4f} against {removed}"
    return f"decided without evidence: {removed} was removed by a person ({reason}); {model} stands in: {measured}"


def symbol_promoted(evidence: decision_pb2.Evidence, policy: Policy, lineages: int) -> str:
    return (
        f"{evidence.contender} replaces {evidence.champion} as the symbol's best: {_numbers(evidence)};"
        f" {_asked(policy, lineages)}"
    )


def symbol_declined(evidence: decision_pb2.Evidence, policy: Policy, lineages: int) -> str:
    """The reason for keeping the symbol's best against the champion of another lineage."""
    judgement, contender = evidence.judgement, evidence.contender
    stays = f"{evidence.champion} stays the symbol's best"
    if judgement.bars < gate.SYMBOL_BEST_BARS:
        return f"{stays}: {judgement.bars} common bars with {contender}, {gate.SYMBOL_BEST_BARS} needed"
    if _undefined(judgement):
        return f"{stays}: {contender} could not be compared with it: {_still_needed(evidence)}"
    if judgement.verdict == decision_pb2.VERDICT_REJECTED:
        return f"{stays}: it is better than {contender}: {_numbers(evidence)}; E of the reverse {_e_reverse(evidence)}"
    return f"{stays}: {contender} is not shown to be better: {_numbers(evidence)}; {_asked(policy, lineages)}"


def symbol_unmeasured(best: str, model: str) -> str:
    return f"{best} stays the symbol's best: a person promoted {model} without evidence against it"


def _numbers(evidence: decision_pb2.Evidence) -> str:
    """E 31.2, p 0.004, Brier improvement +3.1 % [+1.0, +5.2] on 252 bars, 2006-01-03 to 2006-12-29"""
    judgement = evidence.judgement
    if not judgement.bars:
        return "0 scored bars"
    first, last = seconds_of(evidence, "first_bar"), seconds_of(evidence, "last_bar")
    return (
        f"E {_e(judgement.e_value)}, p {_p(judgement.dm_p)},"
        f" Brier improvement {_percent(judgement)}"
        f" on {judgement.bars} bars, {day(first)} to {day(last)}"
    )


def _above_zero(interval: model_pb2.Interval) -> bool:
    return interval.HasField("low") and interval.low > 0.0


def _shown_worse(gain: model_pb2.Interval) -> str:
    return "shown worse" if gain.HasField("high") and gain.high < 0.0 else "worse"


def _brier(metrics: Iterable[model_pb2.Metric]) -> float | None:
    """The Brier score among metrics; None where it is not defined."""
    defined = (metric for metric in metrics if metric.name == "brier" and metric.HasField("interval"))
    return next((metric.interval.value for metric in defined), None)


def _gain(gain: model_pb2.Interval) -> str:
    limits = f" [{gain.low:+.4f}, {gain.high:+.4f}]" if gain.HasField("low") and gain.HasField("high") else ""
    return f"{gain.value:+.4f}{limits}"


def _percent(judgement: decision_pb2.Judgement) -> str:
    if not judgement.HasField("improvement_percent"):
        return "not defined"
    interval = judgement.improvement_percent
    if not (interval.HasField("low") and interval.HasField("high")):
        return f"{_signed(interval.value)} %"
    return _limits(interval.value, interval.low, interval.high)


def _limits(value: float, low: float, high: float) -> str:
    return f"{_signed(value)} % [{_signed(low)}, {_signed(high)}]"


def _signed(value: float) -> str:
    """One decimal with its sign, and no minus before a zero."""
    return f"{round(value, 1) + 0.0:+.1f}"


def _e(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def _e_reverse(evidence: decision_pb2.Evidence) -> str:
    return f"{_e(evidence.judgement.e_value_reverse)}, {gate.REJECT_E:.0f} rejects"


def _asked(policy: Policy, comparisons: int) -> str:
    rule = gate.POLICIES[policy]
    if math.isinf(rule.dm_level):
        return f"{policy} asks only for a better mean"
    lineages = f" for {comparisons} lineages" if comparisons > 1 else ""
    return f"{policy} asks for E of {rule.e_threshold * comparisons:.0f}{lineages} and p below {rule.dm_level}"


def _undefined(judgement: decision_pb2.Judgement) -> bool:
    """Whether the metrics of a pair are undefined."""
    return judgement.bars > 0 and not judgement.HasField("mean_difference")


def _still_needed(evidence: decision_pb2.Evidence) -> str:
    judgement = evidence.judgement
    if _undefined(judgement):
        missing = CLASS_ROWS - minority_count(unpack(evidence.packed).y)
        return (
            f"fewer than {CLASS_ROWS} bars of one class among {judgement.bars} scored bars:"
            f" nothing can be compared yet; {missing} more bar{'' if missing == 1 else 's'} of that class needed"
        )
    if not judgement.HasField("bars_needed"):
        return "how many bars are needed is not estimable, since it is not ahead"
    missing = math.ceil(judgement.bars_needed - judgement.bars)
    if missing <= 0:
        return "a few more needed to be sure"
    return f"about {_two_digits(missing):,} needed to see a gain of this size"


def _two_digits(count: int) -> int:
    """A count rounded to two digits, its precision."""
    return round(count, 2 - len(str(count))) if count > 99 else count


def _more_bars(lineage: Lineage) -> str:
    """Advice for a session without new bars: import some, or backtest the whole loop on the existing ones."""
    return f"import newer bars with {_import(lineage)} or try {_backtest(lineage)}"


def _import(lineage: Lineage) -> str:
    timeframe = "" if lineage.series.timeframe == "1d" else f" --timeframe {lineage.series.timeframe}"
    return f"ratchet data import {lineage.series.symbol} FILE{timeframe}"


def _other_type(lineage: Lineage, alternatives: Alternatives) -> str:
    """The model type to try next: one not tried on this series, the simplest first, else the best on it."""
    untried = {kind for kind in MODEL_TYPES if kind not in alternatives.tried and kind != lineage.model_type}
    if untried:
        other = replace(lineage, model_type=next(kind for kind in (SIMPLEST, *MODEL_TYPES) if kind in untried))
        return f", or try a model type that this series has not seen: {train_command(other)}"
    best = Lineage.parse(alternatives.symbol_best.rpartition("/")[0]) if alternatives.symbol_best else lineage
    if best.model_type != lineage.model_type:
        other = replace(lineage, model_type=best.model_type)
        return f", or train the type that does best on this series: {train_command(other)}"
    return ""


def train_command(lineage: Lineage) -> str:
    """The command that trains the next version of a lineage."""
    return f"ratchet train {_named(lineage)}"


def _backtest(lineage: Lineage) -> str:
    """The command that backtests the whole loop on the history of a lineage's series."""
    return f"ratchet backtest {_named(lineage)}"


def _named(lineage: Lineage) -> str:
    """A lineage as the arguments and options of a command."""
    task = lineage.task
    horizon = "" if task.horizon == DEFAULT_HORIZON[task.target] else f" --horizon {task.horizon}"
    return f"{lineage.series} --model {lineage.model_type} --target {task.target}{horizon}"
