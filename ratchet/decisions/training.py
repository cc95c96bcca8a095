"""The decision on a lineage from a training session's evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

from ratchet.decisions import diagnosis, selection
from ratchet.decisions.bar_times import BEGINNING, timestamp
from ratchet.decisions.comparison import (
    VERDICTS,
    GateSettings,
    KnowledgeCutoff,
    Verdict,
    compare,
    first_model,
    gate_verdict,
)
from ratchet.decisions.diagnosis import Alternatives
from ratchet.decisions.lineage import LineageState
from ratchet.errors import Conflict, InvalidInput
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, Policy


@dataclass(frozen=True)
class Comparison:
    """A pair as supplied; `contender` is empty for the model of the session."""

    champion: str
    contender: str
    packed: bytes


@dataclass(frozen=True)
class RecordTraining:
    """The command: a trained model with its evidence.

    `record` lacks model and version. `last_labelled`: the last labelled bar of the session, epoch seconds UTC.
    `diagnosis`: the trainer's measurements, without advice.
    """

    session_id: str
    policy: Policy
    record: model_pb2.ModelRecord
    expected_champion: str
    comparisons: tuple[Comparison, ...]
    last_labelled: int
    diagnosis: tuple[decision_pb2.Diagnosis, ...] = ()
    alternatives: Alternatives = field(default_factory=Alternatives)


@dataclass(frozen=True)
class JudgedTraining:
    """A trained model with its judged evidence, which alone decides.

    `record` is complete. `evidence`: every pair, against the champion in force; none without a champion.
    """

    session_id: str
    policy: Policy
    record: model_pb2.ModelRecord
    evidence: tuple[decision_pb2.Evidence, ...]
    last_labelled: int
    diagnosis: tuple[decision_pb2.Diagnosis, ...] = ()
    alternatives: Alternatives = field(default_factory=Alternatives)


@dataclass(frozen=True)
class Outcome:
    """The facts for the lineage's stream; `verdict` and `promoted` concern the session's own model."""

    trained: facts_pb2.ModelTrained
    decision: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined
    verdict: Verdict
    promoted: bool

    @property
    def champion(self) -> str:
        """The champion after the decision."""
        decided = self.decision
        return decided.model if isinstance(decided, facts_pb2.ModelPromoted) else decided.champion


def record_training(state: LineageState, command: RecordTraining) -> Outcome:
    """Assigns the model its version, judges every pair, and promotes the one with the largest E among those that pass.

    ChampionMoved unless the evidence is against the champion in force; PreconditionFailed for evidence that is not
    out-of-sample; Conflict for a model that is no longer a contender; InvalidInput for incomplete evidence.
    """
    state.require_champion(command.expected_champion)
    for comparison in command.comparisons:
        state.require_champion(comparison.champion)
    if command.last_labelled == BEGINNING:
        raise InvalidInput(
            "last_labelled_bar is missing; without it nobody knows which bars are new",
            fields={"last_labelled_bar": "missing"},
        )
    record = _numbered(state, command)
    evidence = _evidence(state, command, record) if state.champion else ()
    return decide(
        state,
        JudgedTraining(
            command.session_id,
            command.policy,
            record,
            evidence,
            command.last_labelled,
            command.diagnosis,
            command.alternatives,
        ),
    )


def decide(state: LineageState, session: JudgedTraining) -> Outcome:
    """The decision on a session: that of the registry when it is made, and of a verifier when it is made again."""
    KnowledgeCutoff.of(session.record.model, session.record)
    if not state.champion:
        promoted = _model_promoted(state, session, session.record.model, decision_pb2.BASIS_FIRST)
        promoted.first_model.CopyFrom(first_model(session.record))
        return _outcome(session, promoted, decision_pb2.VERDICT_PROMOTED, own=True)
    new_bars = session.last_labelled > state.decided_through
    known = {state.model(contender.version): contender.e_value for contender in state.contenders}
    scored = [
        selection.Contender(e.contender, e.judgement.e_value, gate_verdict(e.judgement.verdict))
        for e in session.evidence
    ]
    result = selection.select(known, scored, session.record.model, new_bars)
    verdict = VERDICTS[result.verdict]
    if result.promoted:
        promoted = _model_promoted(state, session, result.promoted, decision_pb2.BASIS_EVIDENCE)
        promoted.evidence.extend(session.evidence)
        return _outcome(session, promoted, verdict, own=result.promoted == session.record.model)
    declined = facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=state.name,
        model=session.record.model,
        champion=state.champion_name,
        session_id=session.session_id,
        policy=session.policy,
        verdict=verdict,
        basis=decision_pb2.BASIS_EVIDENCE if new_bars else decision_pb2.BASIS_NO_NEW_BARS,
        evidence=session.evidence,
        diagnosis=_diagnosis(state, session, new_bars),
        contenders_kept=result.kept,
        decided_through=timestamp(max(session.last_labelled, state.decided_through)),
    )
    return _outcome(session, declined, verdict, own=False)


def _numbered(state: LineageState, command: RecordTraining) -> model_pb2.ModelRecord:
    version = state.versions + 1
    record = model_pb2.ModelRecord()
    record.CopyFrom(command.record)
    record.model, record.version = state.model(version), version
    record.lineage, record.session_id = state.name, command.session_id
    if record.parent:
        state.require(record.parent)
    return record


def _evidence(
    state: LineageState, command: RecordTraining, record: model_pb2.ModelRecord
) -> tuple[decision_pb2.Evidence, ...]:
    """Judged evidence, kept contenders in their order and the session's model last."""
    supplied = {comparison.contender or record.model: comparison.packed for comparison in command.comparisons}
    if len(supplied) < len(command.comparisons):
        raise InvalidInput("two comparisons of one contender; send one each", fields={"comparisons": "repeated"})
    if record.model not in supplied:
        raise InvalidInput(
            f"no comparison of the new model with {state.champion_name}; score both on the same bars and send the pair",
            fields={"comparisons": "missing"},
        )
    unknown = supplied.keys() - {*state.contender_names, record.model}
    if unknown:
        raise Conflict(
            f"{', '.join(sorted(unknown))} is no contender of {state.name} now; those in the race are"
            f" {', '.join(state.contender_names) or 'none'}: score these and send the evidence again"
        )
    settings = GateSettings(
        horizon=Lineage.parse(state.name).task.horizon,
        policy=command.policy,
        known_through=command.last_labelled,
        spent_through=state.spent_through,
    )
    champion = state.cutoff_of(state.champion_name)
    trained = {name: state.cutoff_of(name) for name in state.contender_names}
    trained[record.model] = KnowledgeCutoff.of(record.model, record)
    return tuple(compare(champion, trained[name], supplied[name], settings) for name in trained if name in supplied)


def _outcome(
    session: JudgedTraining,
    decision: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined,
    verdict: Verdict,
    *,
    own: bool,
) -> Outcome:
    return Outcome(facts_pb2.ModelTrained(record=session.record), decision, verdict, own)


def _diagnosis(state: LineageState, session: JudgedTraining, new_bars: bool) -> list[decision_pb2.Diagnosis]:
    if not new_bars:
        return diagnosis.without_new_bars(state, session.diagnosis, session.alternatives)
    own = next(e for e in session.evidence if e.contender == session.record.model)
    return diagnosis.of_decline(state, session.record, own, session.diagnosis, session.alternatives)


def _model_promoted(
    state: LineageState, session: JudgedTraining, model: str, basis: decision_pb2.Basis.ValueType
) -> facts_pb2.ModelPromoted:
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=state.name,
        model=model,
        replaced=state.champion_name,
        session_id=session.session_id,
        policy=session.policy,
        decided_by=decision_pb2.DECIDED_BY_GATE,
        basis=basis,
        decided_through=timestamp(session.last_labelled),
    )
