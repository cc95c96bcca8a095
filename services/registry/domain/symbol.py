"""The symbol's best, stream symbol/<series>/<task>: the best of the champions of the lineages that compete there.

Each change of a champion in one of these lineages puts one decision on this stream, in the same batch. So the version
of this stream also guards what a decision reads of the other champions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

from ratchet.errors import ChampionMoved
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.names import Lineage, Policy
from ratchet.proof.gate import SYMBOL_BEST_BARS
from services.kernel.facts import Fact
from services.registry.domain import words
from services.registry.domain.comparison import Scoring, Trained, compare
from services.registry.domain.moments import BEGINNING, seconds_of

Decision: TypeAlias = facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined


@dataclass(frozen=True)
class SymbolState:
    """`name`: series/task; `version`: of the stream; `best`: the model in force, empty for none.

    `means`: by model, the paired mean difference against the best, positive when better than it, as far as measured.
    `spent_through`: bars up to this one were decided on by a person and don't count.
    """

    name: str
    version: int = 0
    best: str = ""
    means: Mapping[str, float] = field(default_factory=dict)
    spent_through: int = BEGINNING


@dataclass(frozen=True)
class Change:
    """A new champion of a lineage, as its own stream records it, and what is known of it.

    `means`: paired means of models of the same lineage against the champion that was replaced.
    """

    promoted: facts_pb2.ModelPromoted
    means: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Challenge:
    """The evidence of the new champion against the symbol's best, as it was brought; no bytes: none was.

    `known_through`: the last labelled bar of the session, epoch seconds UTC.
    """

    expected_best: str
    best: Trained
    contender: Trained
    packed: bytes
    known_through: int


def project(state: SymbolState | None, facts: Iterable[Fact]) -> SymbolState | None:
    """`state` after `facts`; None for a series and task without a model."""
    for fact in facts:
        before = state or SymbolState(fact.stream.removeprefix("symbol/"))
        state = replace(_evolve(before, fact), version=fact.version)
    return state


def _evolve(state: SymbolState, fact: Fact) -> SymbolState:
    match fact.message:
        case facts_pb2.ModelPromoted() as promoted:
            gains = [e.judgement.mean_difference.value for e in promoted.evidence if e.contender == promoted.model]
            spent = seconds_of(promoted, "decided_through")
            by_person = promoted.decided_by == decision_pb2.DECIDED_BY_PERSON
            return replace(
                state,
                best=promoted.model,
                means={promoted.replaced: -gains[0]} if gains else {},
                spent_through=max(state.spent_through, spent) if by_person else state.spent_through,
            )
        case facts_pb2.PromotionDeclined() as declined:
            measured = {e.contender: e.judgement.mean_difference.value for e in declined.evidence if e.judgement.bars}
            return replace(state, means={**state.means, **measured})
        case _:
            return state


def require_best(state: SymbolState, expected: str) -> None:
    """ChampionMoved, with the symbol's best in force, when `expected` (empty: none) is not the one."""
    if expected != state.best:
        raise ChampionMoved(
            f"the best model of {state.name} is {state.best or 'not there yet'}, not {expected or 'none'};"
            " score against the one in force and send the evidence again",
            metadata={"champion": state.best, "expected": expected, "scope": "symbol"},
        )


def needs_evidence(state: SymbolState, promoted: facts_pb2.ModelPromoted) -> bool:
    """Whether the gate must compare the new champion with the symbol's best: it is of another lineage."""
    by_gate = promoted.decided_by == decision_pb2.DECIDED_BY_GATE
    return by_gate and state.best not in ("", promoted.replaced)


def decide(state: SymbolState, change: Change, champions: Sequence[str], challenge: Challenge | None) -> Decision:
    """What a new champion of a lineage means for the symbol's best.

    `champions`: those of all lineages of the series and task after the change. `challenge` is needed where
    `needs_evidence` says so. A successor within the best's own lineage takes its place on the evidence that promoted
    it; a rival must pass the gate at as many times its threshold as there are lineages, on at least 120 common bars.
    """
    promoted = change.promoted
    if not state.best:
        return _promotion(promoted, promoted.model, "", words.first_of_symbol(state.name))
    if promoted.decided_by == decision_pb2.DECIDED_BY_PERSON:
        return _after_person(state, change, champions)
    if promoted.replaced == state.best:
        decision = _promotion(promoted, promoted.model, state.best, words.succession(state.best))
        decision.evidence.extend(e for e in promoted.evidence if e.contender == promoted.model)
        decision.competing_lineages = 1
        return decision
    if challenge is None:
        raise ValueError(f"{promoted.model} is to be compared with {state.best}: a challenge is needed")
    return _compared(state, promoted, len(champions), challenge)


def _compared(state: SymbolState, promoted: facts_pb2.ModelPromoted, lineages: int, challenge: Challenge) -> Decision:
    require_best(state, challenge.expected_best)
    policy = cast(Policy, promoted.policy)
    scoring = Scoring(
        horizon=Lineage.parse(promoted.lineage).task.horizon,
        policy=policy,
        known_through=challenge.known_through,
        spent_through=state.spent_through,
        comparisons=lineages,
        minimum_bars=SYMBOL_BEST_BARS,
    )
    evidence = compare(challenge.best, challenge.contender, challenge.packed, scoring)
    if evidence.judgement.verdict == decision_pb2.VERDICT_PROMOTED:
        reason = words.symbol_promoted(evidence, policy, lineages)
        decision = _promotion(promoted, promoted.model, state.best, reason)
        decision.evidence.append(evidence)
        decision.competing_lineages = lineages
        return decision
    declined = _decline(state, promoted, words.symbol_declined(evidence, policy, lineages))
    declined.verdict = evidence.judgement.verdict if evidence.judgement.bars else decision_pb2.VERDICT_INCONCLUSIVE
    declined.evidence.append(evidence)
    declined.competing_lineages = lineages
    return declined


def _after_person(state: SymbolState, change: Change, champions: Sequence[str]) -> Decision:
    promoted = change.promoted
    if promoted.replaced != state.best:
        declined = _decline(state, promoted, words.symbol_unmeasured(state.best, promoted.model))
        declined.verdict = decision_pb2.VERDICT_NO_NEW_EVIDENCE
        return declined
    means = {**state.means, **change.means}
    measured = [name for name in champions if name in means]
    stand_in = max(measured, key=lambda name: means[name], default=promoted.model)
    reason = words.stands_in(state.best, stand_in, means.get(stand_in), promoted.reason)
    return _promotion(promoted, stand_in, state.best, reason)


def _promotion(promoted: facts_pb2.ModelPromoted, model: str, replaced: str, reason: str) -> facts_pb2.ModelPromoted:
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_SYMBOL,
        lineage=model.rpartition("/")[0],
        model=model,
        replaced=replaced,
        session_id=promoted.session_id,
        policy=promoted.policy,
        decided_by=promoted.decided_by,
        reason=reason,
        rollback=promoted.rollback,
        decided_through=promoted.decided_through if promoted.HasField("decided_through") else None,
    )


def _decline(state: SymbolState, promoted: facts_pb2.ModelPromoted, reason: str) -> facts_pb2.PromotionDeclined:
    return facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_SYMBOL,
        lineage=promoted.lineage,
        model=promoted.model,
        champion=state.best,
        session_id=promoted.session_id,
        policy=promoted.policy,
        reason=reason,
        decided_through=promoted.decided_through if promoted.HasField("decided_through") else None,
    )
