"""The symbol's best, stream symbol/<series>/<task>: the best of the champions of the lineages that compete there.

Each change of a champion in one of these lineages puts one decision on this stream, in the same batch. So the version
of this stream also guards what a decision reads of the other champions. A champion that stays in force is compared with
the best after each session of its lineage: a gain that one session can't show is seen once there are bars enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ratchet.decisions import selection
from ratchet.decisions.gate import SYMBOL_BEST_BARS
from ratchet.errors import ChampionMoved
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.names import Lineage, Policy
from services.platform.facts import Fact
from services.registry.domain import words
from services.registry.domain.bar_times import BEGINNING, seconds_of
from services.registry.domain.comparison import Scoring, Trained, compare
from services.registry.domain.persistent import Growing, changed

Decision: TypeAlias = facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined


@dataclass(frozen=True)
class SymbolState:
    """`name`: series/task; `version`: of the stream; `best`: the model in force, empty for none.

    `means`: by model, the paired mean difference against the best, positive when better than it, as far as measured.
    `decided`: by model, the last labelled bar of the newest decision on it against the best.
    `spent_through`: bars up to this one were decided on by a person and don't count.
    """

    name: str
    version: int = 0
    best: str = ""
    means: Growing[str, float] = field(default_factory=Growing)
    decided: Growing[str, int] = field(default_factory=Growing)
    spent_through: int = BEGINNING

    def decided_through(self, model: str) -> int:
        """The last bar that a decision on `model` against the best has seen; only later ones are new to the pair."""
        return max(self.spent_through, self.decided.get(model, BEGINNING))


@dataclass(frozen=True)
class Change:
    """A new champion of a lineage, as its own stream records it, and what is known of it.

    `mean`: its paired mean against the champion that it replaced; None where that was never measured.
    """

    promoted: facts_pb2.ModelPromoted
    mean: float | None = None


@dataclass(frozen=True)
class Challenge:
    """The evidence of a lineage's champion against the symbol's best, as it was brought.

    `known_through`: the last labelled bar of the session, epoch seconds UTC. `spent_through`: bars up to this one were
    decided on by a person in the contender's lineage and don't count.
    """

    expected_best: str
    best: Trained
    contender: Trained
    packed: bytes
    known_through: int
    spent_through: int = BEGINNING


def project(state: SymbolState | None, facts: Iterable[Fact]) -> SymbolState | None:
    """`state` after `facts`; None for a series and task without a model."""
    for fact in facts:
        state = _evolve(state or SymbolState(fact.stream.removeprefix("symbol/")), fact)
    return state


def _evolve(state: SymbolState, fact: Fact) -> SymbolState:
    match fact.message:
        case facts_pb2.ModelPromoted() as promoted:
            gains = [e.judgement.mean_difference.value for e in promoted.evidence if e.contender == promoted.model]
            through = seconds_of(promoted, "decided_through")
            by_person = promoted.decided_by == decision_pb2.DECIDED_BY_PERSON
            return changed(
                state,
                version=fact.version,
                best=promoted.model,
                means=Growing({promoted.replaced: -gains[0]}) if gains else Growing(),
                decided=Growing({promoted.replaced: through}) if gains else Growing(),
                spent_through=max(state.spent_through, through) if by_person else state.spent_through,
            )
        case facts_pb2.PromotionDeclined() as declined:
            means = state.means
            for evidence in declined.evidence:
                if evidence.judgement.HasField("mean_difference"):
                    means = means.with_entry(evidence.contender, evidence.judgement.mean_difference.value)
            through = max(seconds_of(declined, "decided_through"), state.decided_through(declined.model))
            decided = state.decided.with_entry(declined.model, through)
            return changed(state, version=fact.version, means=means, decided=decided)
        case _:
            return changed(state, version=fact.version)


def require_best(state: SymbolState, expected: str) -> None:
    """ChampionMoved, with the symbol's best in force, when `expected` (empty: none) is not the one."""
    if expected != state.best:
        raise ChampionMoved(
            f"the best model of {state.name} is {state.best or 'not there yet'}, not {expected or 'none'};"
            " score against the one in force and send the evidence again",
            metadata={"champion": state.best, "expected": expected, "scope": "symbol"},
        )


def needs_evidence(state: SymbolState, decided: Decision, known_through: int) -> bool:
    """Whether the gate must compare the champion that a decision on its lineage leaves in force with the symbol's best.

    It must where that one is of another lineage; one that stays, only where a bar has been labelled since the pair was
    last decided on.
    """
    if isinstance(decided, facts_pb2.PromotionDeclined):
        return state.best not in ("", decided.champion) and known_through > state.decided_through(decided.champion)
    by_gate = decided.decided_by == decision_pb2.DECIDED_BY_GATE
    return by_gate and state.best not in ("", decided.replaced)


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
    return _compared(state, promoted, promoted.model, len(champions), challenge)


def decide_standing(
    state: SymbolState, declined: facts_pb2.PromotionDeclined, lineages: int, challenge: Challenge
) -> Decision:
    """What the evidence of a champion that stays in its lineage means for the symbol's best: the gate of `decide`."""
    return _compared(state, declined, declined.champion, lineages, challenge)


def _compared(state: SymbolState, occasion: Decision, rival: str, lineages: int, challenge: Challenge) -> Decision:
    require_best(state, challenge.expected_best)
    policy = cast(Policy, occasion.policy)
    scoring = Scoring(
        horizon=Lineage.parse(occasion.lineage).task.horizon,
        policy=policy,
        known_through=challenge.known_through,
        spent_through=max(state.spent_through, challenge.spent_through),
        comparisons=lineages,
        minimum_bars=SYMBOL_BEST_BARS,
    )
    evidence = compare(challenge.best, challenge.contender, challenge.packed, scoring)
    decision: Decision
    if evidence.judgement.verdict == decision_pb2.VERDICT_PROMOTED:
        decision = _promotion(occasion, rival, state.best, words.symbol_promoted(evidence, policy, lineages))
    else:
        decision = _decline(state, occasion, rival, words.symbol_declined(evidence, policy, lineages))
        decision.verdict = evidence.judgement.verdict if evidence.judgement.bars else decision_pb2.VERDICT_INCONCLUSIVE
    decision.evidence.append(evidence)
    decision.competing_lineages = lineages
    decision.decided_through.seconds = challenge.known_through
    return decision


def _after_person(state: SymbolState, change: Change, champions: Sequence[str]) -> Decision:
    promoted = change.promoted
    if promoted.replaced != state.best:
        declined = _decline(state, promoted, promoted.model, words.symbol_unmeasured(state.best, promoted.model))
        declined.verdict = decision_pb2.VERDICT_NO_NEW_EVIDENCE
        return declined
    means = {name: state.means[name] for name in champions if name in state.means}
    if change.mean is not None:
        means[promoted.model] = change.mean
    stand_in = selection.best_by_mean(champions, means, promoted.model)
    reason = words.stands_in(state.best, stand_in, means.get(stand_in), promoted.reason)
    return _promotion(promoted, stand_in, state.best, reason)


def _promotion(occasion: Decision, model: str, replaced: str, reason: str) -> facts_pb2.ModelPromoted:
    by_person = isinstance(occasion, facts_pb2.ModelPromoted) and occasion.decided_by == decision_pb2.DECIDED_BY_PERSON
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_SYMBOL,
        lineage=model.rpartition("/")[0],
        model=model,
        replaced=replaced,
        session_id=occasion.session_id,
        policy=occasion.policy,
        decided_by=decision_pb2.DECIDED_BY_PERSON if by_person else decision_pb2.DECIDED_BY_GATE,
        reason=reason,
        rollback=isinstance(occasion, facts_pb2.ModelPromoted) and occasion.rollback,
        decided_through=occasion.decided_through if occasion.HasField("decided_through") else None,
    )


def _decline(state: SymbolState, occasion: Decision, model: str, reason: str) -> facts_pb2.PromotionDeclined:
    return facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_SYMBOL,
        lineage=occasion.lineage,
        model=model,
        champion=state.best,
        session_id=occasion.session_id,
        policy=occasion.policy,
        reason=reason,
        decided_through=occasion.decided_through if occasion.HasField("decided_through") else None,
    )
