"""Recomputation of every decision from the bytes in its event.

Each function yields the differences from the recorded decision as text; nothing for a correct decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from ratchet.decisions import gate, selection
from ratchet.events.v1 import decision_pb2, facts_pb2
from tests.oracle.rejudge import (
    GateSettings,
    iso_time,
    join_names,
    or_none,
    rejudge,
    verdict_name,
    verdict_number,
)
from tests.oracle.state import LineageState, ProblemState, TriggeringDecision, seconds_of

Decision: TypeAlias = facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined


def check_lineage_decision(lineage: LineageState, fact: Decision) -> Iterator[str]:
    """Checks a decision on a lineage against the state before it."""
    champion = fact.replaced if isinstance(fact, facts_pb2.ModelPromoted) else fact.champion
    if champion != lineage.champion:
        yield f"it speaks of the champion {or_none(champion)}, but {or_none(lineage.champion)} was in force"
    if isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
        yield from _check_manual_promotion(lineage, fact)
        return
    if isinstance(fact, facts_pb2.ModelPromoted) and (fact.decided_by != decision_pb2.DECIDED_BY_GATE or fact.rollback):
        yield "it was decided neither by the gate nor by a person"
    pending = lineage.pending
    if pending is None:
        yield "no session had trained a model that this decision is on"
        return
    if (fact.session_id, fact.policy) != (pending.session_id, pending.policy):
        yield f"it is of session {fact.session_id} by {fact.policy}, not of {pending.session_id} by {pending.policy}"
    if not isinstance(fact, facts_pb2.ModelPromoted) and fact.model != pending.model:
        yield f"it declines {fact.model}, but the session trained {pending.model}"
    if not lineage.champion:
        result, basis = selection.Selection(pending.model, "PROMOTED", ()), decision_pb2.BASIS_FIRST
        if fact.evidence:
            yield "it brings evidence, but there was no champion to compare with"
    else:
        contenders, findings = _rejudge_pairs(lineage, fact, pending.policy)
        yield from findings
        if all(contender.model != pending.model for contender in contenders):
            yield f"it brings no evidence on {pending.model}, the model of its session"
            return
        through = seconds_of(fact, "decided_through")
        if through < lineage.decided_through:
            yield f"it is on bars to {iso_time(through)}, but {iso_time(lineage.decided_through)} was decided on before"
        new_bars = through > lineage.decided_through
        result = selection.select(lineage.contenders, contenders, pending.model, new_bars)
        basis = decision_pb2.BASIS_EVIDENCE if new_bars else decision_pb2.BASIS_NO_NEW_BARS
    yield from _check_outcome(fact, result)
    yield from _check_basis(fact, basis)
    if not pending.completed or (pending.verdict, pending.promoted) != (
        verdict_number(result.verdict),
        result.promoted == pending.model,
    ):
        yield (
            f"the session's end says {verdict_name(pending.verdict)}{', promoted' if pending.promoted else ''};"
            f" {result.verdict} follows for {pending.model}"
        )


def _rejudge_pairs(lineage: LineageState, fact: Decision, policy: str) -> tuple[list[selection.Contender], list[str]]:
    settings = GateSettings(lineage.horizon, policy, seconds_of(fact, "decided_through"), lineage.spent_through)
    contenders: list[selection.Contender] = []
    findings: list[str] = []
    own = lineage.pending.model if lineage.pending else ""
    for evidence in fact.evidence:
        model = evidence.contender
        if evidence.champion != lineage.champion:
            findings.append(f"its evidence on {model} is against {evidence.champion}, not against {lineage.champion}")
        if model != own and model not in lineage.contenders:
            findings.append(f"{model} was no contender")
        if any(contender.model == model for contender in contenders):
            findings.append(f"it brings evidence on {model} twice")
            continue
        cutoff = max(lineage.knowledge_cutoff(lineage.champion), lineage.knowledge_cutoff(model))
        contenders.append(rejudge(evidence, settings, cutoff, findings))
    return contenders, findings


def _check_outcome(fact: Decision, result: selection.Selection) -> Iterator[str]:
    follows = f"the promotion of {result.promoted}" if result.promoted else f"{result.verdict} without a promotion"
    if isinstance(fact, facts_pb2.ModelPromoted):
        if fact.model != result.promoted:
            yield f"it promotes {fact.model}; {follows} follows from its evidence"
        return
    if result.promoted or fact.verdict != verdict_number(result.verdict):
        yield f"it says {verdict_name(fact.verdict)}; {follows} follows from its evidence"
    if tuple(fact.contenders_kept) != result.kept:
        yield f"it keeps {join_names(fact.contenders_kept)} in the race; {join_names(result.kept)} follows"


def _check_basis(fact: Decision, follows: decision_pb2.Basis.ValueType) -> Iterator[str]:
    if fact.basis != follows:
        said, right = (decision_pb2.Basis.Name(each).removeprefix("BASIS_") for each in (fact.basis, follows))
        yield f"it says that it rests on {said}; {right} follows"
    with_reason = (decision_pb2.BASIS_PERSON, decision_pb2.BASIS_STAND_IN)
    if isinstance(fact, facts_pb2.ModelPromoted) and fact.reason and fact.basis not in with_reason:
        yield "it gives a person's reason, but no person decided"


def _check_manual_promotion(lineage: LineageState, fact: facts_pb2.ModelPromoted) -> Iterator[str]:
    if not fact.reason.strip():
        yield "a person decided without a reason"
    yield from _check_basis(fact, decision_pb2.BASIS_PERSON)
    if fact.evidence:
        yield "a person's decision carries evidence"
    if seconds_of(fact, "decided_through") != lineage.decided_through:
        through = iso_time(seconds_of(fact, "decided_through"))
        yield f"it spends bars to {through}, not to {iso_time(lineage.decided_through)}"
    if fact.rollback:
        previous = lineage.previous_champions[-1] if lineage.previous_champions else ""
        if fact.model != previous:
            yield f"it rolls back to {fact.model}, but the champion before was {or_none(previous)}"
    elif fact.model == lineage.champion or not lineage.version_of(fact.model):
        yield f"it promotes {fact.model}, which is the champion already or was never trained"


def check_problem_decision(
    problem: ProblemState,
    fact: Decision,
    position: int,
    knowledge_cutoff: Callable[[str], int],
) -> Iterator[str]:
    """Checks a decision on the symbol's best, after the lineage decision that triggered it.

    `knowledge_cutoff` returns the last market time that a model of any lineage has seen.
    """
    trigger = problem.trigger
    if trigger is None or trigger.position != position - 1:
        yield "it follows no decision on a lineage that would occasion it"
        return
    trigger_fact = trigger.decision
    if (fact.session_id, fact.policy) != (trigger_fact.session_id, trigger_fact.policy):
        yield f"it is of session {fact.session_id}, the decision before it of {trigger_fact.session_id}"
    if isinstance(trigger_fact, facts_pb2.PromotionDeclined):
        if problem.best in ("", trigger_fact.champion):
            yield f"{trigger_fact.champion} has nobody to be compared with here"
        yield from _check_comparison(problem, fact, trigger, trigger_fact.champion, knowledge_cutoff)
        return
    if not problem.best:
        first = _Consequence(trigger_fact.model, "", decision_pb2.BASIS_FIRST)
        yield from _check_consequence(fact, trigger_fact, first)
    elif trigger_fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
        yield from _check_after_manual_promotion(problem, fact, trigger, trigger_fact)
    elif trigger_fact.replaced == problem.best:
        evidence = [e for e in trigger_fact.evidence if e.contender == trigger_fact.model]
        succession = _Consequence(trigger_fact.model, problem.best, decision_pb2.BASIS_SUCCESSION, evidence, 1)
        yield from _check_consequence(fact, trigger_fact, succession)
    else:
        yield from _check_comparison(problem, fact, trigger, trigger_fact.model, knowledge_cutoff)


def _check_after_manual_promotion(
    problem: ProblemState,
    fact: Decision,
    trigger: TriggeringDecision,
    trigger_fact: facts_pb2.ModelPromoted,
) -> Iterator[str]:
    if trigger_fact.replaced == problem.best:
        means = dict(problem.means)
        if trigger.mean is not None:
            means[trigger_fact.model] = trigger.mean
        best = selection.best_by_mean(problem.champions.values(), means, trigger_fact.model)
        stand_in = _Consequence(best, problem.best, decision_pb2.BASIS_STAND_IN, mean=means.get(best))
        yield from _check_consequence(fact, trigger_fact, stand_in)
    elif isinstance(fact, facts_pb2.ModelPromoted):
        model = trigger_fact.model
        yield f"it promotes {fact.model}; {problem.best} stays the best, as nothing compares it with {model}"
    elif (fact.model, fact.champion) != (trigger_fact.model, problem.best) or fact.evidence:
        yield f"it is on {fact.model} against {fact.champion}, not on {trigger_fact.model} against {problem.best}"
    elif fact.verdict != decision_pb2.VERDICT_NO_NEW_EVIDENCE:
        yield f"it says {verdict_name(fact.verdict)}; NO_NEW_EVIDENCE follows without a comparison"
    else:
        yield from _check_basis(fact, decision_pb2.BASIS_UNMEASURED)


class _Consequence(NamedTuple):
    """The promotion that follows; `mean`: the measured paired mean of a stand-in, None if never compared."""

    best: str
    replaced: str
    basis: decision_pb2.Basis.ValueType
    evidence: Sequence[decision_pb2.Evidence] = ()
    lineages: int = 0
    mean: float | None = None


def _check_consequence(fact: Decision, trigger_fact: facts_pb2.ModelPromoted, follows: _Consequence) -> Iterator[str]:
    """Checks the promotion that follows from `trigger_fact` without a new comparison."""
    if not isinstance(fact, facts_pb2.ModelPromoted):
        yield f"it declines {fact.model}; the promotion of {follows.best} follows"
        return
    if (fact.model, fact.replaced) != (follows.best, follows.replaced):
        yield (
            f"it puts {fact.model} in the place of {or_none(fact.replaced)};"
            f" {follows.best} in the place of {or_none(follows.replaced)} follows"
        )
    yield from _check_basis(fact, follows.basis)
    if follows.basis == decision_pb2.BASIS_STAND_IN and fact.reason != trigger_fact.reason:
        yield "its reason is not that of the person's decision before it"
    mean = fact.stand_in_mean if fact.HasField("stand_in_mean") else None
    if mean != follows.mean:
        yield f"it records {mean} as the paired mean of {fact.model}; {follows.mean} follows"
    if (fact.decided_by, fact.rollback) != (trigger_fact.decided_by, trigger_fact.rollback):
        yield "it does not say by whom it was decided as the decision before it does"
    if list(fact.evidence) != list(follows.evidence):
        yield "its evidence is not the one of the decision before it"
    if fact.competing_lineages != follows.lineages:
        yield f"it counts {fact.competing_lineages} competing lineages; {follows.lineages} follows"
    if seconds_of(fact, "decided_through") != seconds_of(trigger_fact, "decided_through"):
        yield f"it is on bars to {iso_time(seconds_of(fact, 'decided_through'))}, unlike the decision before it"


def _check_comparison(
    problem: ProblemState,
    fact: Decision,
    trigger: TriggeringDecision,
    contender: str,
    knowledge_cutoff: Callable[[str], int],
) -> Iterator[str]:
    """Checks a comparison of `contender` with the best model by the gate."""
    through, lineages = seconds_of(fact, "decided_through"), len(problem.champions)
    if isinstance(trigger.decision, facts_pb2.PromotionDeclined) and through <= problem.decided_through(contender):
        decided = iso_time(problem.decided_through(contender))
        yield f"no bar was labelled since {decided}, when {contender} was decided on"
    if fact.competing_lineages != lineages:
        yield f"it counts {fact.competing_lineages} competing lineages; there were {lineages}"
    if len(fact.evidence) != 1:
        yield f"it brings {len(fact.evidence)} pairs of evidence; one is judged"
        return
    [evidence] = fact.evidence
    if (evidence.champion, evidence.contender) != (problem.best, contender):
        compared = f"{evidence.contender} against {evidence.champion}"
        yield f"its evidence is on {compared}, not {contender} against {problem.best}"
    spent = max(problem.spent_through, trigger.spent_through)
    settings = GateSettings(problem.horizon, fact.policy, through, spent, max(lineages, 1), gate.SYMBOL_BEST_BARS)
    yield from _check_basis(fact, decision_pb2.BASIS_EVIDENCE)
    findings: list[str] = []
    rejudged = rejudge(evidence, settings, max(knowledge_cutoff(problem.best), knowledge_cutoff(contender)), findings)
    yield from findings
    verdict = "INCONCLUSIVE" if rejudged.verdict == "NO_NEW_EVIDENCE" else rejudged.verdict
    if isinstance(fact, facts_pb2.ModelPromoted):
        if verdict != "PROMOTED":
            yield f"it promotes {fact.model}; {verdict} follows from its evidence"
        if (fact.model, fact.replaced) != (contender, problem.best) or fact.rollback:
            yield f"it puts {fact.model} in the place of {fact.replaced}, not {contender} in that of {problem.best}"
        if fact.decided_by != decision_pb2.DECIDED_BY_GATE:
            yield "it was not decided by the gate"
        return
    if verdict == "PROMOTED" or fact.verdict != verdict_number(verdict):
        yield f"it says {verdict_name(fact.verdict)}; {verdict} follows from its evidence"
    if (fact.model, fact.champion) != (contender, problem.best):
        yield f"it is on {fact.model} against {fact.champion}, not on {contender} against {problem.best}"
