"""The symbol's best, stream symbol/<series>/<task>: the best of the champions of the competing lineages.

Each change of a champion in one of these lineages adds one decision to this stream, in the same batch. So the version
of this stream also guards the champions that a decision reads. An unchanged champion is compared with the best after
each session of its lineage: a gain too small for one session becomes measurable with enough bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ratchet.decisions import selection
from ratchet.decisions.bar_times import BEGINNING, seconds_of
from ratchet.decisions.comparison import GateSettings
from ratchet.decisions.facts import RecordedFact
from ratchet.decisions.gate import SYMBOL_BEST_BARS
from ratchet.decisions.persistent import PersistentMap, fast_replace
from ratchet.errors import ChampionMoved
from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.names import Lineage, Policy

Decision: TypeAlias = facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined


@dataclass(frozen=True)
class SymbolState:
    """`name`: series/task; `version`: of the stream; `best`: the model in force, empty for none.

    `means`: by model, the measured paired mean difference against the best, positive when better than it. `decided`: by
    model, the last labelled bar of the newest decision on it against the best. `spent_through`: bars up to this one
    were decided on by a person and don't count.
    """

    name: str
    version: int = 0
    best: str = ""
    means: PersistentMap[str, float] = field(default_factory=PersistentMap)
    decided: PersistentMap[str, int] = field(default_factory=PersistentMap)
    spent_through: int = BEGINNING

    def decided_through(self, model: str) -> int:
        """The last bar of a decision on `model` against the best; only later bars are new to the pair."""
        return max(self.spent_through, self.decided.get(model, BEGINNING))


@dataclass(frozen=True)
class ChampionChange:
    """A new champion of a lineage, as in its own stream.

    `mean`: its paired mean against the replaced champion; None if never measured.
    """

    promoted: facts_pb2.ModelPromoted
    mean: float | None = None


@dataclass(frozen=True)
class Challenge:
    """The judged evidence of a lineage's champion against the symbol's best.

    `known_through`: the last labelled bar of the session, epoch seconds UTC.
    """

    evidence: decision_pb2.Evidence
    known_through: int


def project(state: SymbolState | None, facts: Iterable[RecordedFact]) -> SymbolState | None:
    """`state` after `facts`; None for a series and task without a model."""
    for fact in facts:
        state = _evolve(state or SymbolState(fact.stream.removeprefix("symbol/")), fact)
    return state


def _evolve(state: SymbolState, fact: RecordedFact) -> SymbolState:
    match fact.message:
        case facts_pb2.ModelPromoted() as promoted:
            gains = [e.judgement.mean_difference.value for e in promoted.evidence if e.contender == promoted.model]
            through = seconds_of(promoted, "decided_through")
            by_person = promoted.decided_by == decision_pb2.DECIDED_BY_PERSON
            return fast_replace(
                state,
                version=fact.version,
                best=promoted.model,
                means=PersistentMap({promoted.replaced: -gains[0]}) if gains else PersistentMap(),
                decided=PersistentMap({promoted.replaced: through}) if gains else PersistentMap(),
                spent_through=max(state.spent_through, through) if by_person else state.spent_through,
            )
        case facts_pb2.PromotionDeclined() as declined:
            means = state.means
            for evidence in declined.evidence:
                if evidence.judgement.HasField("mean_difference"):
                    means = means.with_entry(evidence.contender, evidence.judgement.mean_difference.value)
            through = max(seconds_of(declined, "decided_through"), state.decided_through(declined.model))
            decided = state.decided.with_entry(declined.model, through)
            return fast_replace(state, version=fact.version, means=means, decided=decided)
        case _:
            return fast_replace(state, version=fact.version)


def require_best(state: SymbolState, expected: str) -> None:
    """ChampionMoved, with the symbol's best in force, unless `expected` (empty: none) is the best."""
    if expected != state.best:
        raise ChampionMoved(
            f"the best model of {state.name} is {state.best or 'not there yet'}, not {expected or 'none'};"
            " score against the one in force and send the evidence again",
            metadata={"champion": state.best, "expected": expected, "scope": "symbol"},
        )


def needs_evidence(state: SymbolState, decided: Decision, known_through: int) -> bool:
    """Whether the gate must compare the lineage's champion after a decision with the symbol's best.

    A new champion needs it if the best is of another lineage; an unchanged one also needs a bar labelled since the last
    decision on the pair.
    """
    if isinstance(decided, facts_pb2.PromotionDeclined):
        return state.best not in ("", decided.champion) and known_through > state.decided_through(decided.champion)
    by_gate = decided.decided_by == decision_pb2.DECIDED_BY_GATE
    return by_gate and state.best not in ("", decided.replaced)


def champions_after(champions: Iterable[str], decided: Decision) -> list[str]:
    """The champions of all lineages of a series and task after a decision on one of them, by name."""
    if isinstance(decided, facts_pb2.ModelPromoted):
        return sorted({name for name in champions if name != decided.replaced} | {decided.model})
    return sorted(champions)


def consequence(
    state: SymbolState, decided: Decision, mean: float | None, champions: Sequence[str], challenge: Challenge | None
) -> Decision | None:
    """The decision on the symbol that follows from a decision on a lineage; None for an unchallenged champion.

    `mean` as in `ChampionChange`; `champions` and `challenge` as in `decide`.
    """
    if isinstance(decided, facts_pb2.ModelPromoted):
        return decide(state, ChampionChange(decided, mean), champions, challenge)
    return None if challenge is None else decide_unchanged(state, decided, len(champions), challenge)


def decide(
    state: SymbolState, change: ChampionChange, champions: Sequence[str], challenge: Challenge | None
) -> Decision:
    """The decision on the symbol's best that follows from a new champion of a lineage.

    `champions`: those of all lineages of the series and task after the change. `challenge` is required if
    `needs_evidence` holds. A successor within the best's own lineage replaces it on the evidence of its promotion; a
    champion of another lineage must pass the gate at its threshold times the number of lineages, on at least 120 common
    bars.
    """
    promoted = change.promoted
    if not state.best:
        return _promotion(promoted, promoted.model, "", decision_pb2.BASIS_FIRST)
    if promoted.decided_by == decision_pb2.DECIDED_BY_PERSON:
        return _after_manual_promotion(state, change, champions)
    if promoted.replaced == state.best:
        decision = _promotion(promoted, promoted.model, state.best, decision_pb2.BASIS_SUCCESSION)
        decision.evidence.extend(e for e in promoted.evidence if e.contender == promoted.model)
        decision.competing_lineages = 1
        return decision
    if challenge is None:
        raise ValueError(f"{promoted.model} is to be compared with {state.best}: a challenge is needed")
    return _compare(state, promoted, promoted.model, len(champions), challenge)


def decide_unchanged(
    state: SymbolState, declined: facts_pb2.PromotionDeclined, lineages: int, challenge: Challenge
) -> Decision:
    """The decision on the symbol's best from the evidence of an unchanged champion, by the gate of `decide`."""
    return _compare(state, declined, declined.champion, lineages, challenge)


def gate_settings(
    state: SymbolState, trigger: Decision, lineages: int, known_through: int, spent_through: int
) -> GateSettings:
    """The settings of a challenge after the decision `trigger` on a lineage.

    `lineages`: the number of competing ones, with the new champion's; `known_through` as in `Challenge`;
    `spent_through`: bars up to this one were decided on by a person in the contender's lineage and don't count.
    """
    return GateSettings(
        horizon=Lineage.parse(trigger.lineage).task.horizon,
        policy=cast(Policy, trigger.policy),
        known_through=known_through,
        spent_through=max(state.spent_through, spent_through),
        comparisons=max(lineages, 1),
        minimum_bars=SYMBOL_BEST_BARS,
    )


def _compare(state: SymbolState, trigger: Decision, contender: str, lineages: int, challenge: Challenge) -> Decision:
    evidence = challenge.evidence
    decision: Decision
    if evidence.judgement.verdict == decision_pb2.VERDICT_PROMOTED:
        decision = _promotion(trigger, contender, state.best, decision_pb2.BASIS_EVIDENCE)
    else:
        decision = _decline(state, trigger, contender, decision_pb2.BASIS_EVIDENCE)
        decision.verdict = evidence.judgement.verdict if evidence.judgement.bars else decision_pb2.VERDICT_INCONCLUSIVE
    decision.evidence.append(evidence)
    decision.competing_lineages = lineages
    decision.decided_through.seconds = challenge.known_through
    return decision


def _after_manual_promotion(state: SymbolState, change: ChampionChange, champions: Sequence[str]) -> Decision:
    promoted = change.promoted
    if promoted.replaced != state.best:
        declined = _decline(state, promoted, promoted.model, decision_pb2.BASIS_UNMEASURED)
        declined.verdict = decision_pb2.VERDICT_NO_NEW_EVIDENCE
        return declined
    means = {name: state.means[name] for name in champions if name in state.means}
    if change.mean is not None:
        means[promoted.model] = change.mean
    replacement = selection.best_by_mean(champions, means, promoted.model)
    decision = _promotion(promoted, replacement, state.best, decision_pb2.BASIS_STAND_IN)
    decision.reason = promoted.reason
    if replacement in means:
        decision.stand_in_mean = means[replacement]
    return decision


def _promotion(
    trigger: Decision, model: str, replaced: str, basis: decision_pb2.Basis.ValueType
) -> facts_pb2.ModelPromoted:
    by_person = isinstance(trigger, facts_pb2.ModelPromoted) and trigger.decided_by == decision_pb2.DECIDED_BY_PERSON
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_SYMBOL,
        lineage=model.rpartition("/")[0],
        model=model,
        replaced=replaced,
        session_id=trigger.session_id,
        policy=trigger.policy,
        decided_by=decision_pb2.DECIDED_BY_PERSON if by_person else decision_pb2.DECIDED_BY_GATE,
        basis=basis,
        rollback=isinstance(trigger, facts_pb2.ModelPromoted) and trigger.rollback,
        decided_through=trigger.decided_through if trigger.HasField("decided_through") else None,
    )


def _decline(
    state: SymbolState, trigger: Decision, model: str, basis: decision_pb2.Basis.ValueType
) -> facts_pb2.PromotionDeclined:
    return facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_SYMBOL,
        lineage=trigger.lineage,
        model=model,
        champion=state.best,
        session_id=trigger.session_id,
        policy=trigger.policy,
        basis=basis,
        decided_through=trigger.decided_through if trigger.HasField("decided_through") else None,
    )
