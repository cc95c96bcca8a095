"""The decision on a lineage from a training session's evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ratchet.decisions import selection
from ratchet.errors import Conflict, InvalidInput
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, Policy
from services.registry.domain import diagnosis
from services.registry.domain.bar_times import BEGINNING, timestamp
from services.registry.domain.comparison import (
    GateSettings,
    KnowledgeCutoff,
    Verdict,
    compare,
    first_model,
    gate_verdict,
)
from services.registry.domain.diagnosis import Alternatives
from services.registry.domain.lineage import LineageState, unpromoted


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
    if not state.champion:
        return _first(state, command, record)
    evidence = _evidence(state, command, record)
    new_bars = command.last_labelled > state.decided_through
    known = {state.model(contender.version): contender.e_value for contender in state.contenders}
    scored = [
        selection.Contender(e.contender, e.judgement.e_value, gate_verdict(e.judgement.verdict))
        for e in evidence.values()
    ]
    result = selection.select(known, scored, record.model, new_bars)
    if result.promoted:
        return _promotion(state, command, record, evidence, evidence[result.promoted])
    decline = _decline if new_bars else _without_new_bars
    return decline(state, command, record, evidence, result.kept)


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
) -> Mapping[str, decision_pb2.Evidence]:
    """Judged evidence by contender, kept contenders in their order and the session's model last."""
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
    return {name: compare(champion, trained[name], supplied[name], settings) for name in trained if name in supplied}


def _first(state: LineageState, command: RecordTraining, record: model_pb2.ModelRecord) -> Outcome:
    KnowledgeCutoff.of(record.model, record)
    promoted = _model_promoted(state, command, record.model, decision_pb2.BASIS_FIRST)
    promoted.first_model.CopyFrom(first_model(record))
    return Outcome(facts_pb2.ModelTrained(record=record), promoted, decision_pb2.VERDICT_PROMOTED, True)


def _promotion(
    state: LineageState,
    command: RecordTraining,
    record: model_pb2.ModelRecord,
    evidence: Mapping[str, decision_pb2.Evidence],
    best: decision_pb2.Evidence,
) -> Outcome:
    promoted = _model_promoted(state, command, best.contender, decision_pb2.BASIS_EVIDENCE)
    promoted.evidence.extend(evidence.values())
    own = best.contender == record.model
    verdict = decision_pb2.VERDICT_PROMOTED if own else unpromoted(evidence[record.model].judgement.verdict)
    return Outcome(facts_pb2.ModelTrained(record=record), promoted, verdict, own)


def _model_promoted(
    state: LineageState, command: RecordTraining, model: str, basis: decision_pb2.Basis.ValueType
) -> facts_pb2.ModelPromoted:
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=state.name,
        model=model,
        replaced=state.champion_name,
        session_id=command.session_id,
        policy=command.policy,
        decided_by=decision_pb2.DECIDED_BY_GATE,
        basis=basis,
        decided_through=timestamp(command.last_labelled),
    )


def _without_new_bars(
    state: LineageState,
    command: RecordTraining,
    record: model_pb2.ModelRecord,
    evidence: Mapping[str, decision_pb2.Evidence],
    kept: tuple[str, ...],
) -> Outcome:
    return _declined(
        state,
        command,
        record,
        evidence,
        verdict=decision_pb2.VERDICT_NO_NEW_EVIDENCE,
        basis=decision_pb2.BASIS_NO_NEW_BARS,
        kept=kept,
        diagnosis=diagnosis.without_new_bars(state, command.diagnosis, command.alternatives),
    )


def _decline(
    state: LineageState,
    command: RecordTraining,
    record: model_pb2.ModelRecord,
    evidence: Mapping[str, decision_pb2.Evidence],
    kept: tuple[str, ...],
) -> Outcome:
    own = evidence[record.model]
    return _declined(
        state,
        command,
        record,
        evidence,
        verdict=own.judgement.verdict,
        basis=decision_pb2.BASIS_EVIDENCE,
        kept=kept,
        diagnosis=diagnosis.of_decline(state, record, own, command.diagnosis, command.alternatives),
    )


def _declined(
    state: LineageState,
    command: RecordTraining,
    record: model_pb2.ModelRecord,
    evidence: Mapping[str, decision_pb2.Evidence],
    *,
    verdict: Verdict,
    basis: decision_pb2.Basis.ValueType,
    kept: tuple[str, ...],
    diagnosis: Sequence[decision_pb2.Diagnosis],
) -> Outcome:
    declined = facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=state.name,
        model=record.model,
        champion=state.champion_name,
        session_id=command.session_id,
        policy=command.policy,
        verdict=verdict,
        basis=basis,
        evidence=evidence.values(),
        diagnosis=diagnosis,
        contenders_kept=kept,
        decided_through=timestamp(max(command.last_labelled, state.decided_through)),
    )
    return Outcome(facts_pb2.ModelTrained(record=record), declined, verdict, False)
