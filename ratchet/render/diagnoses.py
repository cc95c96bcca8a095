"""Diagnoses of a declined model in words: the measurement, and advice with commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ratchet.events.v1 import decision_pb2, facts_pb2
from ratchet.names import MODEL_TYPES, Lineage, one_of
from ratchet.render import commands
from ratchet.render.commands import CommandLine
from ratchet.render.decisions import evidence_needed, own_evidence, undefined
from ratchet.render.numbers import day, e_value, p_value, percent


def name(found: decision_pb2.Diagnosis) -> str:
    """The kind of a diagnosis, such as `regime shift`."""
    return (found.WhichOneof("finding") or "unknown").replace("_", " ")


def measurement(found: decision_pb2.Diagnosis, declined: facts_pb2.PromotionDeclined) -> str:
    """The numbers of a diagnosis of a decline."""
    match found.WhichOneof("finding"):
        case "no_new_evidence":
            return f"0 bars labelled since {day(found.no_new_evidence, 'decided_through')}"
        case "regime_shift":
            shift = found.regime_shift
            return (
                f"AUC {shift.auc:.2f} between training and holdout features; none of {shift.reference_windows}"
                f" stretches of {shift.holdout_bars} bars within training reaches it"
            )
        case "overfit":
            excess = found.overfit.excess
            return (
                f"Brier loss from choose to holdout grows by {excess.value:.4f} more than the parent's,"
                f" 95 % interval {excess.low:.4f} to {excess.high:.4f}"
            )
        case "plateau":
            gains = ", ".join(
                f"{session.model.rpartition('/')[2]} {percent(session.improvement_percent)} on {session.bars} bars"
                for session in found.plateau.sessions
            )
            sessions = len(found.plateau.sessions)
            return f"no new pattern in {sessions} sessions in a row, nor a gain that can be seen: {gains}"
    evidence = own_evidence(declined)
    needed = evidence_needed(evidence)
    if undefined(evidence.judgement):
        return needed
    return f"E {e_value(evidence.judgement.e_value)}, p {p_value(evidence.judgement.dm_p)}; {needed}"


def advice(found: decision_pb2.Diagnosis, lineage: Lineage, command_line: CommandLine) -> str:
    """The next steps of a diagnosis as a clause with commands; empty without advice."""
    steps = _joined(found.advice, lineage, command_line)
    match found.WhichOneof("finding"):
        case "regime_shift":
            return f"the newest bars are unlike those that the model learned from: {steps}" if steps else ""
        case "overfit":
            return f"the model learned what does not last: {steps}" if steps else ""
        case "plateau":
            return f"the lineage has learned what it can from bars like these: {steps}" if steps else ""
    return steps


def _joined(found: Iterable[decision_pb2.Advice], lineage: Lineage, command_line: CommandLine) -> str:
    """Alternatives, but training again comes after an import."""
    text = ""
    for step in _steps(found, lineage, command_line):
        conjunction = " and " if step.startswith("train again") else " or "
        text += f"{conjunction if text else ''}{step}"
    return text


def _steps(found: Iterable[decision_pb2.Advice], lineage: Lineage, command_line: CommandLine) -> Iterator[str]:
    for step in found:
        typed = one_of("model type", step.model_type, MODEL_TYPES) if step.model_type else None
        train = command_line(*commands.train(lineage, typed))
        match step.kind:
            case decision_pb2.ADVICE_KIND_IMPORT_NEWER_BARS:
                yield f"import newer bars with {command_line(*commands.import_bars(lineage))}"
            case decision_pb2.ADVICE_KIND_IMPORT_LONGER_HISTORY:
                yield f"import a longer history with {command_line(*commands.import_bars(lineage))}"
            case decision_pb2.ADVICE_KIND_TRAIN_AGAIN:
                yield f"train again with {train}"
            case decision_pb2.ADVICE_KIND_BACKTEST:
                yield f"try {command_line(*commands.backtest(lineage))}"
            case decision_pb2.ADVICE_KIND_TRY_UNTRIED_TYPE:
                yield f"try a model type that this series has not seen: {train}"
            case decision_pb2.ADVICE_KIND_TRY_BEST_TYPE:
                yield f"train the type that does best on this series: {train}"
            case decision_pb2.ADVICE_KIND_TRY_SIMPLER_TYPE:
                yield f"train a model that learns less by heart: {train}"
