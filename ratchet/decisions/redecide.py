"""Every decision again, from the bytes in its event: does the same follow from them?

Each function yields what does not hold, in words; nothing when the decision is the one that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ratchet.decisions import gate, selection
from ratchet.decisions.rejudge import Terms, day, listed, name, number, or_none, rejudged
from ratchet.decisions.state import Arena, LineageStanding, Occasion, seconds_of
from ratchet.events.v1 import decision_pb2, facts_pb2

Decision: TypeAlias = facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined


def on_lineage(lineage: LineageStanding, fact: Decision) -> Iterator[str]:
    """A decision on a lineage as it stands before it."""
    champion = fact.replaced if isinstance(fact, facts_pb2.ModelPromoted) else fact.champion
    if champion != lineage.champion:
        yield f"it speaks of the champion {or_none(champion)}, but {or_none(lineage.champion)} was in force"
    if isinstance(fact, facts_pb2.ModelPromoted) and fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
        yield from _by_person(lineage, fact)
        return
    if isinstance(fact, facts_pb2.ModelPromoted) and (fact.decided_by != decision_pb2.DECIDED_BY_GATE or fact.rollback):
        yield "it was decided neither by the gate nor by a person"
    run = lineage.run
    if run is None:
        yield "no session had trained a model that this decision is on"
        return
    if (fact.session_id, fact.policy) != (run.session_id, run.policy):
        yield f"it is of session {fact.session_id} by {fact.policy}, not of {run.session_id} by {run.policy}"
    if not isinstance(fact, facts_pb2.ModelPromoted) and fact.model != run.model:
        yield f"it declines {fact.model}, but the session trained {run.model}"
    if not lineage.champion:
        result = selection.Result(run.model, "PROMOTED", ())
        if fact.evidence:
            yield "it brings evidence, but there was no champion to compare with"
    else:
        scored, wrong = _judged(lineage, fact, run.policy)
        yield from wrong
        if all(runner.model != run.model for runner in scored):
            yield f"it brings no evidence on {run.model}, the model of its session"
            return
        through = seconds_of(fact, "decided_through")
        if through < lineage.decided_through:
            yield f"it is on bars to {day(through)}, but {day(lineage.decided_through)} was decided on before"
        result = selection.run(lineage.contenders, scored, run.model, through > lineage.decided_through)
    yield from _outcome(fact, result)
    if not run.completed or (run.verdict, run.promoted) != (number(result.verdict), result.promoted == run.model):
        yield (
            f"the session's end says {name(run.verdict)}{', promoted' if run.promoted else ''};"
            f" {result.verdict} follows for {run.model}"
        )


def _judged(lineage: LineageStanding, fact: Decision, policy: str) -> tuple[list[selection.Runner], list[str]]:
    terms = Terms(lineage.horizon, policy, seconds_of(fact, "decided_through"), lineage.spent_through)
    scored: list[selection.Runner] = []
    wrong: list[str] = []
    own = lineage.run.model if lineage.run else ""
    for evidence in fact.evidence:
        model = evidence.contender
        if evidence.champion != lineage.champion:
            wrong.append(f"its evidence on {model} is against {evidence.champion}, not against {lineage.champion}")
        if model != own and model not in lineage.contenders:
            wrong.append(f"{model} was no contender")
        if any(runner.model == model for runner in scored):
            wrong.append(f"it brings evidence on {model} twice")
            continue
        blind = max(lineage.blind_from(lineage.champion), lineage.blind_from(model))
        scored.append(rejudged(evidence, terms, blind, wrong))
    return scored, wrong


def _outcome(fact: Decision, result: selection.Result) -> Iterator[str]:
    follows = f"the promotion of {result.promoted}" if result.promoted else f"{result.verdict} without a promotion"
    if isinstance(fact, facts_pb2.ModelPromoted):
        if fact.model != result.promoted:
            yield f"it promotes {fact.model}; {follows} follows from its evidence"
        return
    if result.promoted or fact.verdict != number(result.verdict):
        yield f"it says {name(fact.verdict)}; {follows} follows from its evidence"
    if tuple(fact.contenders_kept) != result.kept:
        yield f"it keeps {listed(fact.contenders_kept)} in the race; {listed(result.kept)} follows"


def _by_person(lineage: LineageStanding, fact: facts_pb2.ModelPromoted) -> Iterator[str]:
    if not fact.reason.strip():
        yield "a person decided without a reason"
    if fact.evidence:
        yield "a person's decision carries evidence"
    if seconds_of(fact, "decided_through") != lineage.decided_through:
        yield f"it spends bars to {day(seconds_of(fact, 'decided_through'))}, not to {day(lineage.decided_through)}"
    if fact.rollback:
        previous = lineage.before[-1] if lineage.before else ""
        if fact.model != previous:
            yield f"it rolls back to {fact.model}, but the champion before was {or_none(previous)}"
    elif fact.model == lineage.champion or not lineage.version_of(fact.model):
        yield f"it promotes {fact.model}, which is the champion already or was never trained"


def on_arena(
    arena: Arena,
    fact: Decision,
    position: int,
    blind_from: Callable[[str], int],
) -> Iterator[str]:
    """A decision on the symbol's best, after the decision on a lineage that occasioned it.

    `blind_from` tells the last moment that a model of any lineage knows of.
    """
    occasion = arena.occasion
    if occasion is None or occasion.position != position - 1:
        yield "it follows no decision on a lineage that would occasion it"
        return
    cause = occasion.decision
    if (fact.session_id, fact.policy) != (cause.session_id, cause.policy):
        yield f"it is of session {fact.session_id}, the decision before it of {cause.session_id}"
    if isinstance(cause, facts_pb2.PromotionDeclined):
        if arena.best in ("", cause.champion):
            yield f"{cause.champion} has nobody to be compared with here"
        yield from _challenge(arena, fact, occasion, cause.champion, blind_from)
        return
    if not arena.best:
        yield from _expected(fact, cause, cause.model, "", None, 0)
    elif cause.decided_by == decision_pb2.DECIDED_BY_PERSON:
        yield from _after_person(arena, fact, occasion, cause)
    elif cause.replaced == arena.best:
        evidence = [e for e in cause.evidence if e.contender == cause.model]
        yield from _expected(fact, cause, cause.model, arena.best, evidence, 1)
    else:
        yield from _challenge(arena, fact, occasion, cause.model, blind_from)


def _after_person(
    arena: Arena,
    fact: Decision,
    occasion: Occasion,
    cause: facts_pb2.ModelPromoted,
) -> Iterator[str]:
    if cause.replaced == arena.best:
        means = dict(arena.means)
        if occasion.mean is not None:
            means[cause.model] = occasion.mean
        best = selection.stand_in(arena.champions.values(), means, cause.model)
        yield from _expected(fact, cause, best, arena.best, None, 0)
    elif isinstance(fact, facts_pb2.ModelPromoted):
        yield f"it promotes {fact.model}; {arena.best} stays the best, as nothing compares it with {cause.model}"
    elif (fact.model, fact.champion) != (cause.model, arena.best) or fact.evidence:
        yield f"it is on {fact.model} against {fact.champion}, not on {cause.model} against {arena.best}"
    elif fact.verdict != decision_pb2.VERDICT_NO_NEW_EVIDENCE:
        yield f"it says {name(fact.verdict)}; NO_NEW_EVIDENCE follows without a comparison"


def _expected(
    fact: Decision,
    cause: facts_pb2.ModelPromoted,
    best: str,
    replaced: str,
    evidence: list[decision_pb2.Evidence] | None,
    lineages: int,
) -> Iterator[str]:
    """The promotion that follows from `cause` without a new comparison."""
    if not isinstance(fact, facts_pb2.ModelPromoted):
        yield f"it declines {fact.model}; the promotion of {best} follows"
        return
    if (fact.model, fact.replaced) != (best, replaced):
        yield (
            f"it puts {fact.model} in the place of {or_none(fact.replaced)};"
            f" {best} in the place of {or_none(replaced)} follows"
        )
    if (fact.decided_by, fact.rollback) != (cause.decided_by, cause.rollback):
        yield "it does not say by whom it was decided as the decision before it does"
    if list(fact.evidence) != (evidence or []):
        yield "its evidence is not the one of the decision before it"
    if fact.competing_lineages != lineages:
        yield f"it counts {fact.competing_lineages} competing lineages; {lineages} follows"
    if seconds_of(fact, "decided_through") != seconds_of(cause, "decided_through"):
        yield f"it is on bars to {day(seconds_of(fact, 'decided_through'))}, unlike the decision before it"


def _challenge(
    arena: Arena,
    fact: Decision,
    occasion: Occasion,
    rival: str,
    blind_from: Callable[[str], int],
) -> Iterator[str]:
    """A comparison of `rival` with the best, by the gate."""
    through, lineages = seconds_of(fact, "decided_through"), len(arena.champions)
    if isinstance(occasion.decision, facts_pb2.PromotionDeclined) and through <= arena.decided_through(rival):
        yield f"no bar was labelled since {day(arena.decided_through(rival))}, when {rival} was decided on"
    if fact.competing_lineages != lineages:
        yield f"it counts {fact.competing_lineages} competing lineages; there were {lineages}"
    if len(fact.evidence) != 1:
        yield f"it brings {len(fact.evidence)} pairs of evidence; one is judged"
        return
    [evidence] = fact.evidence
    if (evidence.champion, evidence.contender) != (arena.best, rival):
        yield f"its evidence is on {evidence.contender} against {evidence.champion}, not {rival} against {arena.best}"
    spent = max(arena.spent_through, occasion.spent_through)
    terms = Terms(arena.horizon, fact.policy, through, spent, max(lineages, 1), gate.SYMBOL_BEST_BARS)
    wrong: list[str] = []
    runner = rejudged(evidence, terms, max(blind_from(arena.best), blind_from(rival)), wrong)
    yield from wrong
    verdict = "INCONCLUSIVE" if runner.verdict == "NO_NEW_EVIDENCE" else runner.verdict
    if isinstance(fact, facts_pb2.ModelPromoted):
        if verdict != "PROMOTED":
            yield f"it promotes {fact.model}; {verdict} follows from its evidence"
        if (fact.model, fact.replaced) != (rival, arena.best) or fact.rollback:
            yield f"it puts {fact.model} in the place of {fact.replaced}, not {rival} in that of {arena.best}"
        if fact.decided_by != decision_pb2.DECIDED_BY_GATE:
            yield "it was not decided by the gate"
        return
    if verdict == "PROMOTED" or fact.verdict != number(verdict):
        yield f"it says {name(fact.verdict)}; {verdict} follows from its evidence"
    if (fact.model, fact.champion) != (rival, arena.best):
        yield f"it is on {fact.model} against {fact.champion}, not on {rival} against {arena.best}"
