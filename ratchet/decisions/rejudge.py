"""Recomputation of a recorded judgement from the bytes of its pair.

Deciding numbers are compared to a relative 1e-9: sums and logarithms may differ in the last digits between machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ratchet.decisions import evidence as packing
from ratchet.decisions import gate
from ratchet.decisions.bar_times import BEGINNING, day, seconds_of
from ratchet.decisions.comparison import VERDICTS, GateSettings, KnowledgeCutoff
from ratchet.errors import InvalidInput
from ratchet.events.v1 import decision_pb2
from ratchet.statistics.evalue import loss_difference
from ratchet.statistics.scores import defined, minority_count

REL_TOLERANCE = 1e-9
ABS_TOLERANCE = 1e-14

_EMPTY_BYTES = packing.pack([], [], [], [])
_EMPTY = packing.unpack(_EMPTY_BYTES)


def rejudge(
    evidence: decision_pb2.Evidence, champion: KnowledgeCutoff, contender: KnowledgeCutoff, settings: GateSettings
) -> Iterator[str]:
    """The differences of a recorded piece of evidence from what its bytes say, as text."""
    model = evidence.contender
    if (evidence.champion, model) != (champion.model, contender.model):
        yield (
            f"its evidence is on {model} against {evidence.champion};"
            f" {contender.model} against {champion.model} follows"
        )
    if evidence.horizon != settings.horizon:
        yield f"its evidence on {model} says horizon {evidence.horizon}; the task's is {settings.horizon}"
    try:
        pair = packing.unpack(evidence.packed) if evidence.packed != _EMPTY_BYTES else _EMPTY
        result = gate.decide(pair, settings.horizon, settings.policy, settings.comparisons, settings.minimum_bars)
    except InvalidInput as error:
        yield f"its evidence on {model} can't be judged: {error.message}"
        return
    yield from _bars(evidence, pair, champion, contender, settings)
    judgement = evidence.judgement
    known = defined(pair.y)
    mean = float(loss_difference(pair.p_a, pair.p_b, pair.y).mean()) if known else math.nan
    recorded_mean = judgement.mean_difference.value if judgement.HasField("mean_difference") else math.nan
    for label, stored, follows in (
        ("bars", judgement.bars, result.bars),
        ("bars of the rarer class", judgement.minority_bars, minority_count(pair.y)),
        ("E", judgement.e_value, result.e_value),
        ("reverse E", judgement.e_value_reverse, result.e_value_reverse),
        ("DM statistic", judgement.dm_statistic, result.dm_statistic),
        ("p", judgement.dm_p, result.dm_p),
        ("mean difference", recorded_mean, mean),
    ):
        if not _close(stored, follows):
            yield f"its {label} of {model} is recorded as {stored!r}; {follows!r} follows from its evidence"
    if judgement.verdict != VERDICTS[result.verdict]:
        recorded = decision_pb2.Verdict.Name(judgement.verdict).removeprefix("VERDICT_")
        yield f"its verdict on {model} is {recorded}; {result.verdict} follows"


def _bars(
    evidence: decision_pb2.Evidence,
    pair: packing.PairedForecasts,
    champion: KnowledgeCutoff,
    contender: KnowledgeCutoff,
    settings: GateSettings,
) -> Iterator[str]:
    """Checks the bars of a pair: as stated, unseen by both models, not spent, and labelled."""
    model = evidence.contender
    first, last = (int(pair.times[0]), int(pair.times[-1])) if len(pair) else (BEGINNING, BEGINNING)
    if (seconds_of(evidence, "first_bar"), seconds_of(evidence, "last_bar")) != (first, last):
        yield f"its evidence on {model} is on bars {day(first)} to {day(last)}, unlike what it says"
    if not len(pair):
        return
    cutoff = max(each for of in (champion, contender) for each in (of.fit_label_end, of.pattern_end))
    if first <= cutoff:
        yield f"bar {day(first)} can't score {model}: one of the pair knew labels up to {day(cutoff)}"
    if first <= settings.spent_through:
        spent = day(settings.spent_through)
        yield f"bar {day(first)} of {model} was spent: a person decided on bars up to {spent}"
    if last > settings.known_through:
        yield f"the evidence on {model} goes to bar {day(last)}, beyond {day(settings.known_through)}"


def _close(stored: float, follows: float) -> bool:
    if stored == follows or (math.isnan(stored) and math.isnan(follows)):
        return True
    return math.isclose(stored, follows, rel_tol=REL_TOLERANCE, abs_tol=ABS_TOLERANCE)
