"""Recomputation of one pair's judgement from its bytes, with the settings of the decision.

Deciding numbers are compared to a relative 1e-9: sums and logarithms may differ in the last digits between machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, cast

from ratchet.decisions import evidence as packing
from ratchet.decisions import gate, selection
from ratchet.errors import InvalidInput
from ratchet.events.v1 import decision_pb2
from ratchet.statistics.evalue import loss_difference
from ratchet.statistics.scores import defined
from tests.oracle.state import BEGINNING, seconds_of

REL_TOLERANCE = 1e-9
ABS_TOLERANCE = 1e-14
_EMPTY_BYTES = packing.pack([], [], [], [])
_EMPTY = packing.unpack(_EMPTY_BYTES)

_VERDICTS: Mapping[int, gate.Verdict] = {
    decision_pb2.VERDICT_PROMOTED: "PROMOTED",
    decision_pb2.VERDICT_REJECTED: "REJECTED",
    decision_pb2.VERDICT_INCONCLUSIVE: "INCONCLUSIVE",
    decision_pb2.VERDICT_NO_NEW_EVIDENCE: "NO_NEW_EVIDENCE",
}


class GateSettings(NamedTuple):
    """Gate settings of all pairs of a decision; times are epoch seconds UTC, as in the registry's scoring."""

    horizon: int
    policy: str
    known_through: int
    spent_through: int
    comparisons: int = 1
    minimum_bars: int = 1


def rejudge(
    evidence: decision_pb2.Evidence, settings: GateSettings, cutoff: int, findings: list[str]
) -> selection.Contender:
    """The verdict that follows from the bytes; differences from the recorded one are added to `findings`."""
    judgement, model = evidence.judgement, evidence.contender
    recorded = selection.Contender(model, judgement.e_value, _VERDICTS.get(judgement.verdict, "INCONCLUSIVE"))
    try:
        packed = evidence.packed
        pair = packing.unpack(packed) if packed != _EMPTY_BYTES else _EMPTY
        policy = cast(gate.PolicyName, settings.policy)
        result = gate.decide(pair, settings.horizon, policy, settings.comparisons, settings.minimum_bars)
    except InvalidInput as error:
        findings.append(f"its evidence on {model} can't be judged: {error.message}")
        return recorded
    if evidence.horizon != settings.horizon:
        findings.append(f"its evidence on {model} says horizon {evidence.horizon}; the task's is {settings.horizon}")
    first, last = (int(pair.times[0]), int(pair.times[-1])) if len(pair) else (BEGINNING, BEGINNING)
    if (seconds_of(evidence, "first_bar"), seconds_of(evidence, "last_bar")) != (first, last):
        findings.append(
            f"its evidence on {model} is on bars {iso_time(first)} to {iso_time(last)}, unlike what it says"
        )
    if len(pair):
        if first <= cutoff:
            findings.append(
                f"bar {iso_time(first)} can't score {model}: one of the pair knew labels up to {iso_time(cutoff)}"
            )
        if first <= settings.spent_through:
            spent = iso_time(settings.spent_through)
            findings.append(f"bar {iso_time(first)} of {model} was spent: a person decided on bars up to {spent}")
        if last > settings.known_through:
            findings.append(
                f"the evidence on {model} goes to bar {iso_time(last)}, beyond {iso_time(settings.known_through)}"
            )
    mean = float(loss_difference(pair.p_a, pair.p_b, pair.y).mean()) if defined(pair.y) else math.nan
    numbers = (
        ("bars", judgement.bars, result.bars),
        ("E", judgement.e_value, result.e_value),
        ("reverse E", judgement.e_value_reverse, result.e_value_reverse),
        ("DM statistic", judgement.dm_statistic, result.dm_statistic),
        ("p", judgement.dm_p, result.dm_p),
        ("mean difference", _mean(judgement), mean),
    )
    for label, stored, follows in numbers:
        undefined = math.isnan(stored) and math.isnan(follows)
        if (
            stored != follows
            and not undefined
            and not math.isclose(stored, follows, rel_tol=REL_TOLERANCE, abs_tol=ABS_TOLERANCE)
        ):
            findings.append(f"its {label} of {model} is recorded as {stored!r}; {follows!r} follows from its evidence")
    if judgement.verdict != verdict_number(result.verdict):
        findings.append(f"its verdict on {model} is {verdict_name(judgement.verdict)}; {result.verdict} follows")
    return selection.Contender(model, result.e_value, result.verdict)


def _mean(judgement: decision_pb2.Judgement) -> float:
    """The recorded mean difference; nan if not defined."""
    return judgement.mean_difference.value if judgement.HasField("mean_difference") else math.nan


def iso_time(seconds: int) -> str:
    """2006-12-29, or 2006-12-29T15:30Z for a time within a day."""
    if not BEGINNING < seconds < 253_402_300_800:
        return "the beginning" if seconds == BEGINNING else f"{seconds} s"
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d}" if seconds % 86_400 == 0 else f"{moment:%Y-%m-%dT%H:%MZ}"


def verdict_number(verdict: gate.Verdict) -> int:
    """The contract's number of a verdict."""
    return decision_pb2.Verdict.Value(f"VERDICT_{verdict}")


def verdict_name(verdict: int) -> str:
    """The gate's name of a verdict of the contract."""
    return _VERDICTS.get(verdict, f"no verdict ({verdict})")


def or_none(model: str) -> str:
    return model or "none"


def join_names(models: Iterable[str]) -> str:
    return ", ".join(models) or "nobody"
