"""Diagnoses of a declined contender: all that apply, each with its measurement and an advice.

The trainer measures regime shift and overfit from its features; plateau is read from the lineage.
"""

from __future__ import annotations

from collections.abc import Sequence

from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.names import Lineage
from services.registry.domain import words
from services.registry.domain.lineage import LineageState
from services.registry.domain.plateau import PLATEAU_SESSIONS, extend_plateau, flat_session


def without_new_bars(
    state: LineageState, supplied: Sequence[decision_pb2.Diagnosis], alternatives: words.Alternatives
) -> list[decision_pb2.Diagnosis]:
    """For a session without a new bar."""
    lineage = Lineage.parse(state.name)
    return [words.no_new_evidence(state.decided_through, lineage), *_measured(supplied, lineage, alternatives)]


def of_decline(
    state: LineageState,
    record: model_pb2.ModelRecord,
    own: decision_pb2.Evidence,
    supplied: Sequence[decision_pb2.Diagnosis],
    alternatives: words.Alternatives,
) -> list[decision_pb2.Diagnosis]:
    """For a session with new bars; `own` is the evidence of its model. Inconclusive if no other diagnosis applies.

    A model that the champion has beaten needs no diagnosis: without a measurement it has none.
    """
    lineage = Lineage.parse(state.name)
    found = _measured(supplied, lineage, alternatives)
    flat = extend_plateau(state.flat, flat_session(record.version, state.brings_new_pattern(record), own.judgement))
    if len(flat) >= PLATEAU_SESSIONS:
        found.append(words.plateau(flat, lineage, alternatives))
    if not found and own.judgement.verdict != decision_pb2.VERDICT_REJECTED:
        found.append(words.inconclusive(own, lineage, alternatives))
    return found


def _measured(
    supplied: Sequence[decision_pb2.Diagnosis], lineage: Lineage, alternatives: words.Alternatives
) -> list[decision_pb2.Diagnosis]:
    """The trainer's measurements, regime shift before overfit, with the registry's advice."""
    measured = {diagnosis.kind: diagnosis.measurement for diagnosis in supplied}
    found = []
    if decision_pb2.DIAGNOSIS_KIND_REGIME_SHIFT in measured:
        found.append(words.regime_shift(measured[decision_pb2.DIAGNOSIS_KIND_REGIME_SHIFT], lineage))
    if decision_pb2.DIAGNOSIS_KIND_OVERFIT in measured:
        found.append(words.overfit(measured[decision_pb2.DIAGNOSIS_KIND_OVERFIT], lineage, alternatives))
    return found
