"""Comparison of two models on the same bars: out-of-sample check, judgement, and conversion to evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ratchet.decisions import evidence as packing
from ratchet.decisions import gate
from ratchet.decisions.bar_times import BEGINNING, day, seconds_of, timestamp
from ratchet.errors import InvalidInput, PreconditionFailed
from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.names import NAIVE_BASELINES, Policy
from ratchet.statistics import scores

Verdict: TypeAlias = decision_pb2.Verdict.ValueType
VERDICTS: dict[gate.Verdict, Verdict] = {
    "PROMOTED": decision_pb2.VERDICT_PROMOTED,
    "REJECTED": decision_pb2.VERDICT_REJECTED,
    "INCONCLUSIVE": decision_pb2.VERDICT_INCONCLUSIVE,
    "NO_NEW_EVIDENCE": decision_pb2.VERDICT_NO_NEW_EVIDENCE,
}
_GATE_VERDICTS = {verdict: name for name, verdict in VERDICTS.items()}


def gate_verdict(verdict: Verdict) -> gate.Verdict:
    """The gate's name of a stored verdict; KeyError for an unspecified one."""
    return _GATE_VERDICTS[verdict]


class KnowledgeCutoff(NamedTuple):
    """The last market times that a model has seen: no bar up to them may score it. Epoch seconds UTC.

    `fit_label_end`: the time at which the last label of its fits became known; `pattern_end`: the last evidence of
    `pattern_id`, the used pattern with the latest evidence.
    """

    model: str
    fit_label_end: int
    pattern_id: str = ""
    pattern_end: int = BEGINNING

    @classmethod
    def of(cls, model: str, record: model_pb2.ModelRecord) -> KnowledgeCutoff:
        """The cutoff of a record; InvalidInput without a fit_label_end."""
        fit_label_end = seconds_of(record.windows, "fit_label_end")
        if fit_label_end == BEGINNING:
            raise InvalidInput(
                f"the record of {model} has no windows.fit_label_end; without it no bar can be called unseen",
                fields={"record.windows.fit_label_end": "missing"},
            )
        return cls(model, fit_label_end, *latest(patterns_of(record)))


def patterns_of(record: model_pb2.ModelRecord) -> list[tuple[str, int]]:
    """The patterns of a model, each with the end of its evidence."""
    return [(use.pattern_id, seconds_of(use, "evidence_end")) for use in record.patterns_used]


def worse_than(record: model_pb2.ModelRecord) -> list[model_pb2.Baseline]:
    """The naive baselines with the smaller Brier score on the model's holdout."""
    return [
        baseline
        for baseline in record.baselines
        if baseline.name in NAIVE_BASELINES and baseline.HasField("gain") and baseline.gain.value < 0.0
    ]


def first_model(record: model_pb2.ModelRecord) -> decision_pb2.FirstModel:
    """The holdout of a first model, with the naive baselines that are ahead of it."""
    found = decision_pb2.FirstModel(
        ahead=[model_pb2.Baseline(name=each.name, gain=each.gain) for each in worse_than(record)]
    )
    for metric in record.metrics:
        if metric.name == "brier" and metric.HasField("interval"):
            found.brier = metric.interval.value
    return found


def latest(uses: Iterable[tuple[str, int]]) -> tuple[str, int]:
    """The pattern with the latest evidence, ties by the last name; no pattern, and BEGINNING, without any."""
    pattern_id, pattern_end = "", BEGINNING
    for name, end in uses:
        if end > pattern_end or (end == pattern_end and name > pattern_id):
            pattern_id, pattern_end = name, end
    return pattern_id, pattern_end


@dataclass(frozen=True)
class GateSettings:
    """Gate settings of all pairs of a decision.

    `known_through`: the last labelled bar, the upper bound of evidence; `spent_through`: bars up to this one were
    decided on by a person and don't count; `comparisons`, `minimum_bars`: as in `ratchet.decisions.gate.judge`.
    """

    horizon: int
    policy: Policy
    known_through: int
    spent_through: int = BEGINNING
    comparisons: int = 1
    minimum_bars: int = 1


def compare(
    champion: KnowledgeCutoff, contender: KnowledgeCutoff, packed: bytes, settings: GateSettings
) -> decision_pb2.Evidence:
    """Judged evidence of a pair, on the counted bars, with exactly those bars as its bytes.

    PreconditionFailed for a bar that is not out-of-sample for both models; InvalidInput for malformed bytes, or for
    bars beyond the last labelled bar.
    """
    pair = packing.unpack(packed)
    if len(pair):
        first, last = int(pair.times[0]), int(pair.times[-1])
        for model in (champion, contender):
            _require_out_of_sample(model, first)
        if last > settings.known_through:
            raise InvalidInput(
                f"evidence of {contender.model} goes to bar {day(last)}, but the last labelled bar of this session is"
                f" {day(settings.known_through)}; send last_labelled_bar as it was when the pair was scored",
                fields={"last_labelled_bar": "before the evidence"},
            )
    counted = pair.times > settings.spent_through
    pair = packing.PairedForecasts.of(pair.p_a[counted], pair.p_b[counted], pair.y[counted], pair.times[counted])
    judgement = gate.judge(pair, settings.horizon, settings.policy, settings.comparisons, settings.minimum_bars)
    return decision_pb2.Evidence(
        champion=champion.model,
        contender=contender.model,
        horizon=settings.horizon,
        first_bar=timestamp(int(pair.times[0])) if len(pair) else None,
        last_bar=timestamp(int(pair.times[-1])) if len(pair) else None,
        packed=packing.pack(pair.p_a, pair.p_b, pair.y, pair.times),
        judgement=judgement_message(judgement),
    )


def _require_out_of_sample(model: KnowledgeCutoff, first: int) -> None:
    if first <= model.fit_label_end:
        raise PreconditionFailed(
            f"bar {day(first)} can't score {model.model}: its training window knows labels up to"
            f" {day(model.fit_label_end)}; score only bars after that"
        )
    if first <= model.pattern_end:
        raise PreconditionFailed(
            f"bar {day(first)} can't score {model.model}: it uses pattern {model.pattern_id} with evidence up to"
            f" {day(model.pattern_end)}; score only bars after that"
        )


def judgement_message(judgement: gate.Judgement) -> decision_pb2.Judgement:
    """The message of a judgement. An undefined number (nan) is left unset."""
    return decision_pb2.Judgement(
        verdict=VERDICTS[judgement.verdict],
        bars=judgement.bars,
        e_value=judgement.e_value,
        e_value_reverse=judgement.e_value_reverse,
        mean_difference=_interval(judgement.mean_difference),
        dm_statistic=judgement.dm_statistic,
        dm_p=judgement.dm_p,
        champion_brier=_defined(judgement.champion_brier),
        contender_brier=_defined(judgement.contender_brier),
        champion_accuracy=_defined(judgement.champion_accuracy.value),
        contender_accuracy=_defined(judgement.contender_accuracy.value),
        improvement_percent=_interval(judgement.improvement_percent),
        auc_difference=_interval(judgement.auc_difference),
        refitted_difference=_interval(judgement.refitted_difference),
        bars_needed=judgement.bars_needed,
        minority_bars=judgement.minority_bars,
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _interval(interval: scores.Interval) -> model_pb2.Interval | None:
    if math.isnan(interval.value):
        return None
    return model_pb2.Interval(value=interval.value, low=_defined(interval.low), high=_defined(interval.high))
