"""A pair of models judged again from its bytes, on the terms of the decision that it is evidence of.

Numbers that decide are compared to a relative 1e-9: sums and logarithms may differ in the last digits between machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, cast

from ratchet.decisions import evidence as packing
from ratchet.decisions import gate, selection
from ratchet.decisions.state import BEGINNING, seconds_of
from ratchet.errors import InvalidInput
from ratchet.events.v1 import decision_pb2
from ratchet.statistics.evalue import loss_difference
from ratchet.statistics.scores import defined

TOLERANCE = 1e-9
_TINY = 1e-14
_NOTHING_PACKED = packing.pack([], [], [], [])
_NOTHING = packing.unpack(_NOTHING_PACKED)

_WORDS: Mapping[int, gate.Verdict] = {
    decision_pb2.VERDICT_PROMOTED: "PROMOTED",
    decision_pb2.VERDICT_REJECTED: "REJECTED",
    decision_pb2.VERDICT_INCONCLUSIVE: "INCONCLUSIVE",
    decision_pb2.VERDICT_NO_NEW_EVIDENCE: "NO_NEW_EVIDENCE",
}


class Terms(NamedTuple):
    """What holds for all pairs of a decision; times are epoch seconds UTC, as in the registry's scoring."""

    horizon: int
    policy: str
    through: int
    spent: int
    comparisons: int = 1
    minimum_bars: int = 1


def rejudged(evidence: decision_pb2.Evidence, terms: Terms, blind: int, wrong: list[str]) -> selection.Runner:
    """The verdict that follows from the bytes; what was recorded otherwise is added to `wrong`."""
    judgement, model = evidence.judgement, evidence.contender
    recorded = selection.Runner(model, judgement.e_value, _WORDS.get(judgement.verdict, "INCONCLUSIVE"))
    try:
        packed = evidence.packed
        pair = packing.unpack(packed) if packed != _NOTHING_PACKED else _NOTHING
        policy = cast(gate.PolicyName, terms.policy)
        ruling = gate.rule(pair, terms.horizon, policy, terms.comparisons, terms.minimum_bars)
    except InvalidInput as error:
        wrong.append(f"its evidence on {model} can't be judged: {error.message}")
        return recorded
    if evidence.horizon != terms.horizon:
        wrong.append(f"its evidence on {model} says horizon {evidence.horizon}; the task's is {terms.horizon}")
    first, last = (int(pair.times[0]), int(pair.times[-1])) if len(pair) else (BEGINNING, BEGINNING)
    if (seconds_of(evidence, "first_bar"), seconds_of(evidence, "last_bar")) != (first, last):
        wrong.append(f"its evidence on {model} is on bars {day(first)} to {day(last)}, unlike what it says")
    if len(pair):
        if first <= blind:
            wrong.append(f"bar {day(first)} can't score {model}: one of the pair knew labels up to {day(blind)}")
        if first <= terms.spent:
            wrong.append(f"bar {day(first)} of {model} was spent: a person decided on bars up to {day(terms.spent)}")
        if last > terms.through:
            wrong.append(f"the evidence on {model} goes to bar {day(last)}, beyond {day(terms.through)}")
    mean = float(loss_difference(pair.p_a, pair.p_b, pair.y).mean()) if defined(pair.y) else math.nan
    numbers = (
        ("bars", judgement.bars, ruling.bars),
        ("E", judgement.e_value, ruling.e_value),
        ("reverse E", judgement.e_value_reverse, ruling.e_value_reverse),
        ("DM statistic", judgement.dm_statistic, ruling.dm_statistic),
        ("p", judgement.dm_p, ruling.dm_p),
        ("mean difference", _mean(judgement), mean),
    )
    for what, said, follows in numbers:
        undefined = math.isnan(said) and math.isnan(follows)
        if said != follows and not undefined and not math.isclose(said, follows, rel_tol=TOLERANCE, abs_tol=_TINY):
            wrong.append(f"its {what} of {model} is recorded as {said!r}; {follows!r} follows from its evidence")
    if judgement.verdict != number(ruling.verdict):
        wrong.append(f"its verdict on {model} is {name(judgement.verdict)}; {ruling.verdict} follows")
    return selection.Runner(model, ruling.e_value, ruling.verdict)


def _mean(judgement: decision_pb2.Judgement) -> float:
    """The recorded mean difference; nan where it is not defined."""
    return judgement.mean_difference.value if judgement.HasField("mean_difference") else math.nan


def day(seconds: int) -> str:
    """2006-12-29, or 2006-12-29T15:30Z for a moment within a day."""
    if not BEGINNING < seconds < 253_402_300_800:
        return "the beginning" if seconds == BEGINNING else f"{seconds} s"
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d}" if seconds % 86_400 == 0 else f"{moment:%Y-%m-%dT%H:%MZ}"


def number(verdict: gate.Verdict) -> int:
    """The contract's number of a verdict."""
    return decision_pb2.Verdict.Value(f"VERDICT_{verdict}")


def name(verdict: int) -> str:
    """The gate's word for a verdict of the contract."""
    return _WORDS.get(verdict, f"no verdict ({verdict})")


def or_none(model: str) -> str:
    return model or "none"


def listed(models: Iterable[str]) -> str:
    return ", ".join(models) or "nobody"
