"""A decision in one sentence: its outcome, the numbers that it rests on, and the missing evidence."""

from __future__ import annotations

import math
from typing import TypeAlias, cast

from ratchet.decisions import gate
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Policy, baseline_words
from ratchet.render.numbers import day, e_value, gain, p_value, percent
from ratchet.statistics.scores import CLASS_ROWS

Decision: TypeAlias = facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined


def reason(fact: Decision) -> str:
    """The reason for a decision; that of the person where one decided."""
    if isinstance(fact, facts_pb2.ModelPromoted):
        return _promoted(fact)
    return _symbol_kept(fact) if fact.scope == decision_pb2.SCOPE_SYMBOL else _declined(fact)


def evidence_needed(evidence: decision_pb2.Evidence) -> str:
    """The bars still needed for a decision on a pair."""
    judgement = evidence.judgement
    if undefined(judgement):
        missing = CLASS_ROWS - judgement.minority_bars
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


def undefined(judgement: decision_pb2.Judgement) -> bool:
    """Whether the metrics of a pair are undefined."""
    return judgement.bars > 0 and not judgement.HasField("mean_difference")


def own_evidence(fact: Decision) -> decision_pb2.Evidence:
    """The evidence on the decision's own model; an empty one without any."""
    return next((each for each in fact.evidence if each.contender == fact.model), decision_pb2.Evidence())


def _promoted(fact: facts_pb2.ModelPromoted) -> str:
    of_symbol = fact.scope == decision_pb2.SCOPE_SYMBOL
    match fact.basis:
        case decision_pb2.BASIS_FIRST if of_symbol:
            return f"no comparison: the first lineage of {fact.lineage.rpartition('/')[0]}"
        case decision_pb2.BASIS_FIRST:
            return _first(fact.first_model)
        case decision_pb2.BASIS_SUCCESSION:
            return f"replaced {fact.replaced}, the symbol's best, in its own lineage, on the same evidence"
        case decision_pb2.BASIS_STAND_IN:
            return _stand_in(fact)
        case decision_pb2.BASIS_EVIDENCE:
            evidence = own_evidence(fact)
            judgement, asked = evidence.judgement, _asked(fact.policy, fact.competing_lineages)
            if of_symbol:
                return f"{fact.model} replaces {fact.replaced} as the symbol's best: {_numbers(evidence)}; {asked}"
            shown = _above_zero(judgement.auc_difference) or _above_zero(judgement.refitted_difference)
            skill = "more skilled" if shown else "better calibrated, not shown to be more skilled"
            return f"{fact.model} replaces {fact.replaced}: {skill}; {_numbers(evidence)}; {asked}"
    return fact.reason


def _first(found: decision_pb2.FirstModel) -> str:
    if not found.HasField("brier"):
        return (
            f"first model of its lineage; its holdout has fewer than {CLASS_ROWS} bars of one class:"
            " no metric is defined"
        )
    if not found.ahead:
        return "first model of its lineage: nothing to compare it with"
    named = " and ".join(f"{_shown_worse(each.gain)} than {baseline_words(each.name)}" for each in found.ahead)
    scores = " and ".join(f"{found.brier + each.gain.value:.3f} (gain {gain(each.gain)})" for each in found.ahead)
    return f"first model of its lineage, and {named} on its holdout: Brier {found.brier:.3f} against {scores}"


def _stand_in(fact: facts_pb2.ModelPromoted) -> str:
    if fact.HasField("stand_in_mean"):
        measured = f"the best paired mean of the remaining champions, {fact.stand_in_mean:+.4f} against {fact.replaced}"
    else:
        measured = "no remaining champion was ever compared with it"
    return (
        f"decided without evidence: {fact.replaced} was removed by a person ({fact.reason});"
        f" {fact.model} stands in: {measured}"
    )


def _declined(fact: facts_pb2.PromotionDeclined) -> str:
    evidence = own_evidence(fact)
    judgement, model, champion = evidence.judgement, fact.model, fact.champion
    if fact.basis == decision_pb2.BASIS_NO_NEW_BARS:
        return f"0 new bars since {day(fact, 'decided_through')}, {evidence_needed(evidence)}"
    if fact.verdict == decision_pb2.VERDICT_REJECTED:
        return f"{champion} is better than {model}: {_numbers(evidence)}; E of the reverse {_reverse(judgement)}"
    if not judgement.bars:
        return f"{model} could not be compared with {champion}: no scored bar that both had not seen"
    if undefined(judgement):
        return f"{model} could not be compared with {champion}: {evidence_needed(evidence)}"
    return (
        f"{model} is not shown to be better than {champion}: {_numbers(evidence)}; {_asked(fact.policy, 1)};"
        f" {evidence_needed(evidence)}"
    )


def _symbol_kept(fact: facts_pb2.PromotionDeclined) -> str:
    """Why the symbol's best stays against the champion of another lineage."""
    evidence, stays = own_evidence(fact), f"{fact.champion} stays the symbol's best"
    judgement = evidence.judgement
    if fact.basis == decision_pb2.BASIS_UNMEASURED:
        return f"{stays}: a person promoted {fact.model} without evidence against it"
    if judgement.bars < gate.SYMBOL_BEST_BARS:
        return f"{stays}: {judgement.bars} common bars with {fact.model}, {gate.SYMBOL_BEST_BARS} needed"
    if undefined(judgement):
        return f"{stays}: {fact.model} could not be compared with it: {evidence_needed(evidence)}"
    if judgement.verdict == decision_pb2.VERDICT_REJECTED:
        reverse = _reverse(judgement)
        return f"{stays}: it is better than {fact.model}: {_numbers(evidence)}; E of the reverse {reverse}"
    asked = _asked(fact.policy, fact.competing_lineages)
    return f"{stays}: {fact.model} is not shown to be better: {_numbers(evidence)}; {asked}"


def _numbers(evidence: decision_pb2.Evidence) -> str:
    """E 31.2, p 0.004, Brier improvement +3.1 % [+1.0, +5.2] on 252 bars, 2006-01-03 to 2006-12-29"""
    judgement = evidence.judgement
    if not judgement.bars:
        return "0 scored bars"
    improvement = "not defined"
    if judgement.HasField("improvement_percent"):
        improvement = percent(judgement.improvement_percent)
    return (
        f"E {e_value(judgement.e_value)}, p {p_value(judgement.dm_p)}, Brier improvement {improvement}"
        f" on {judgement.bars} bars, {day(evidence, 'first_bar')} to {day(evidence, 'last_bar')}"
    )


def _above_zero(interval: model_pb2.Interval) -> bool:
    return interval.HasField("low") and interval.low > 0.0


def _shown_worse(found: model_pb2.Interval) -> str:
    return "shown worse" if found.HasField("high") and found.high < 0.0 else "worse"


def _reverse(judgement: decision_pb2.Judgement) -> str:
    return f"{e_value(judgement.e_value_reverse)}, {gate.REJECT_E:.0f} rejects"


def _asked(policy: str, comparisons: int) -> str:
    rule = gate.POLICIES[cast(Policy, policy)]
    if math.isinf(rule.dm_level):
        return f"{policy} asks only for a better mean"
    lineages = f" for {comparisons} lineages" if comparisons > 1 else ""
    return f"{policy} asks for E of {rule.e_threshold * max(comparisons, 1):.0f}{lineages} and p below {rule.dm_level}"


def _two_digits(count: int) -> int:
    """A count rounded to two digits, its precision."""
    return round(count, 2 - len(str(count))) if count > 99 else count
