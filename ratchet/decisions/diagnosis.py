"""Diagnoses of a declined contender: all that apply, each with its measurement and advice.

The trainer measures regime shift and overfit from its features; plateau is read from the lineage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ratchet.decisions.bar_times import timestamp
from ratchet.decisions.lineage import LineageState
from ratchet.decisions.plateau import PLATEAU_SESSIONS, FlatSession, extend_plateau, flat_session
from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.names import MODEL_TYPES, Lineage, ModelType

SIMPLEST: ModelType = "har"

_MEASURED_BY_TRAINER = ("regime_shift", "overfit")


@dataclass(frozen=True)
class Alternatives:
    """Alternatives for the series: the model types tried on it, and the symbol's best model (empty: none)."""

    tried: frozenset[str] = frozenset()
    symbol_best: str = ""


def without_new_bars(
    state: LineageState, supplied: Sequence[decision_pb2.Diagnosis], alternatives: Alternatives
) -> list[decision_pb2.Diagnosis]:
    """For a session without a new bar."""
    found = decision_pb2.Diagnosis(
        no_new_evidence=decision_pb2.NoNewEvidence(decided_through=timestamp(state.decided_through)),
        advice=[_advice("IMPORT_NEWER_BARS"), _advice("BACKTEST")],
    )
    return [found, *_measured(supplied, Lineage.parse(state.name), alternatives)]


def of_decline(
    state: LineageState,
    record: model_pb2.ModelRecord,
    own: decision_pb2.Evidence,
    supplied: Sequence[decision_pb2.Diagnosis],
    alternatives: Alternatives,
) -> list[decision_pb2.Diagnosis]:
    """For a session with new bars; `own` is the evidence of its model. Inconclusive if no other diagnosis applies.

    A model that the champion has beaten needs no diagnosis: without a measurement it has none.
    """
    lineage = Lineage.parse(state.name)
    found = list(_measured(supplied, lineage, alternatives))
    flat = extend_plateau(state.flat, flat_session(record.version, state.brings_new_pattern(record), own.judgement))
    newer = [_advice("IMPORT_NEWER_BARS"), *_other_type(lineage, alternatives)]
    if len(flat) >= PLATEAU_SESSIONS:
        sessions = [_flat_session(state, each) for each in flat]
        found.append(decision_pb2.Diagnosis(plateau=decision_pb2.Plateau(sessions=sessions), advice=newer))
    if not found and own.judgement.verdict != decision_pb2.VERDICT_REJECTED:
        found.append(decision_pb2.Diagnosis(inconclusive=decision_pb2.Inconclusive(), advice=newer))
    return found


def _measured(
    supplied: Sequence[decision_pb2.Diagnosis], lineage: Lineage, alternatives: Alternatives
) -> Iterator[decision_pb2.Diagnosis]:
    """The trainer's measurements, regime shift before overfit, with the registry's advice."""
    measured = {diagnosis.WhichOneof("finding"): diagnosis for diagnosis in supplied}
    advice = {
        "regime_shift": [_advice("IMPORT_NEWER_BARS"), _advice("TRAIN_AGAIN")],
        "overfit": [_advice("IMPORT_LONGER_HISTORY"), *_simpler_type(lineage, alternatives)],
    }
    for kind in _MEASURED_BY_TRAINER:
        if kind in measured:
            found = decision_pb2.Diagnosis(advice=advice[kind])
            getattr(found, kind).CopyFrom(getattr(measured[kind], kind))
            yield found


def _flat_session(state: LineageState, session: FlatSession) -> decision_pb2.FlatSession:
    return decision_pb2.FlatSession(
        model=state.model(session.version),
        bars=session.bars,
        improvement_percent=model_pb2.Interval(value=session.gain, low=session.low, high=session.high),
    )


def _simpler_type(lineage: Lineage, alternatives: Alternatives) -> Iterator[decision_pb2.Advice]:
    """A simpler model overfits less; for the simplest one another type may generalise better."""
    if lineage.model_type == SIMPLEST:
        yield from _other_type(lineage, alternatives)
    else:
        yield _advice("TRY_SIMPLER_TYPE", SIMPLEST)


def _other_type(lineage: Lineage, alternatives: Alternatives) -> Iterator[decision_pb2.Advice]:
    """The model type to try next: one not tried on this series, the simplest first, else the best on it."""
    untried = {kind for kind in MODEL_TYPES if kind not in alternatives.tried and kind != lineage.model_type}
    if untried:
        yield _advice("TRY_UNTRIED_TYPE", next(kind for kind in (SIMPLEST, *MODEL_TYPES) if kind in untried))
    elif alternatives.symbol_best:
        best = Lineage.parse(alternatives.symbol_best.rpartition("/")[0]).model_type
        if best != lineage.model_type:
            yield _advice("TRY_BEST_TYPE", best)


def _advice(kind: str, model_type: str = "") -> decision_pb2.Advice:
    return decision_pb2.Advice(kind=decision_pb2.AdviceKind.Value(f"ADVICE_KIND_{kind}"), model_type=model_type)
