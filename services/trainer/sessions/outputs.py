"""Conversion of a session's outcome to the requests of the knowledge and registry services."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.events.v1 import decision_pb2, model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.patterns.rule_text import SYMBOLS
from ratchet.patterns.snapshot_rows import SnapshotRows
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.features import BASE
from ratchet.scoring.models.artifact import RULE_PREFIX
from ratchet.scoring.rule import Rule, pattern_id
from ratchet.statistics.scores import Interval
from services.trainer.learning.diagnosis import OverfitGap, RegimeShift
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.outcome import Metrics, ScoredPair, SessionOutcome, WindowReport
from services.trainer.mining.mine import MiningResult
from services.trainer.mining.test import Evidence
from services.trainer.mining.wording import sentence

CANDIDATE_KINDS = {"transfer": model_pb2.CANDIDATE_KIND_TRANSFER, "scratch": model_pb2.CANDIDATE_KIND_SCRATCH}
_OPERATOR_OF = {op: operator for operator, op in SYMBOLS.items()}


def evidence_request(
    training: registry_pb2.Training, inputs: SessionInputs, outcome: SessionOutcome, rows: SnapshotRows
) -> knowledge_pb2.RecordEvidenceRequest:
    """The tested rules, the new evidence of known patterns, and the feature ranking.

    `rows`: of the session's snapshot, whose traded bars are the bars of `inputs`.
    """

    def bar_evidence(found: Evidence) -> pattern_pb2.BarEvidence:
        span = rows.span(found.times, found.fired, found.labels)
        return pattern_pb2.BarEvidence(dataset_digest=training.request.dataset_digest, spans=[span])

    request = knowledge_pb2.RecordEvidenceRequest(
        session_id=training.session_id,
        lineage=training.lineage,
        candidates_tested=len(outcome.mining.rules),
        features=_ranked(outcome),
        market_time=Timestamp(seconds=outcome.last_labelled_time),
    )
    for tested in outcome.mining.rules:
        request.tested.add(
            pattern=_pattern(tested.rule, inputs),
            evidence=bar_evidence(tested.evidence),
            p_value=tested.p,
            passed=tested.passes,
        )
    rules = {pattern.id: pattern.rule for pattern in inputs.patterns}
    for update in outcome.pattern_updates:
        request.tested.add(pattern=_pattern(rules[update.id], inputs), evidence=bar_evidence(update.evidence))
    return request


def training_request(
    training: registry_pb2.Training,
    inputs: SessionInputs,
    current: SessionInputs,
    outcome: SessionOutcome,
    artifact_digest: str,
) -> registry_pb2.RecordTrainingRequest:
    """The model trained on `inputs`, with its evidence against the champions in `current`.

    `current` equals `inputs` unless a champion changed during training.
    """
    return registry_pb2.RecordTrainingRequest(
        request_id=f"record/{training.session_id}",
        session_id=training.session_id,
        record=_record(training, inputs, outcome, artifact_digest),
        expected_champion=current.champion.name if current.champion else "",
        comparisons=_comparisons(outcome.pairs),
        expected_symbol_best=current.symbol_best.name if current.symbol_best else "",
        symbol_comparisons=_comparisons(outcome.symbol_pairs),
        diagnosis=[_diagnosis(found) for found in outcome.diagnoses],
        last_labelled_bar=Timestamp(seconds=outcome.last_labelled_time),
    )


def _record(
    training: registry_pb2.Training, inputs: SessionInputs, outcome: SessionOutcome, artifact_digest: str
) -> model_pb2.ModelRecord:
    windows = model_pb2.Windows(
        horizon=inputs.horizon,
        fit_label_end=Timestamp(seconds=outcome.fit_end_label_time),
        new_bars=outcome.new_bars,
        **{window.name: _window(window) for window in outcome.windows},
    )
    return model_pb2.ModelRecord(
        lineage=training.lineage,
        parent=inputs.parent.name if inputs.parent else "",
        session_id=training.session_id,
        dataset_digest=training.request.dataset_digest,
        windows=windows,
        features=[model_pb2.Feature(name=name, source=_source(name)) for name in outcome.features],
        patterns_used=[
            model_pb2.PatternUse(pattern_id=used.id, evidence_end=Timestamp(seconds=used.evidence_end))
            for used in outcome.patterns_used
        ],
        patterns_left_out=[
            model_pb2.PatternLeftOut(pattern_id=left.id, reason=left.reason) for left in outcome.patterns_left_out
        ],
        hyperparameters=parameters(outcome.params),
        complexity_step=outcome.complexity_step,
        complexity_step_offered=outcome.complexity_step_offered,
        smaller_step_gain=_interval(outcome.smaller_step_gain) if outcome.smaller_step_gain else None,
        candidates=[
            model_pb2.Candidate(
                kind=CANDIDATE_KINDS[candidate.kind],
                chosen=candidate.chosen,
                skipped=candidate.skipped,
                tune_score=candidate.tune_score,
                choose_score=candidate.choose_score,
                choose_bars=candidate.choose_bars,
                cpu_seconds=candidate.cpu_seconds,
                description=candidate.description,
            )
            for candidate in outcome.candidates
        ],
        artifact=model_pb2.Artifact(digest=artifact_digest, size_bytes=len(outcome.artifact), format=outcome.format),
        metrics=_metrics(outcome.metrics),
        baselines=[
            model_pb2.Baseline(name=each.name, metrics=_metrics(each.metrics), gain=_interval(each.gain))
            for each in outcome.baselines
        ],
        skill_shown=outcome.skill_shown,
        parent_errors=[
            model_pb2.ErrorSlice(dimension=each.by, bucket=each.name, bars=each.bars, bias=_interval(each.bias))
            for each in outcome.error_analysis
        ],
        importance=_ranked(outcome),
        library_versions=[
            model_pb2.Parameter(name=name, value=version) for name, version in sorted(outcome.library_versions.items())
        ],
        seed=inputs.seed,
        read_position=inputs.read_position,
        cpu_seconds=outcome.cpu_seconds,
        mining=_mining(outcome.mining),
        trials=[
            model_pb2.Trial(
                hyperparameters=parameters(trial.params), complexity_step=trial.step, tune_score=trial.tune_score
            )
            for trial in outcome.trials
        ],
        corrections=[
            model_pb2.Correction(
                kind=each.kind,
                description=each.description,
                score_with=each.score_with,
                score_without=each.score_without,
                bars=each.bars,
                applied=each.applied,
            )
            for each in outcome.corrections
        ],
        features_left_out=[
            model_pb2.FeatureLeftOut(name=left.id, reason=left.reason) for left in outcome.columns_left_out
        ],
        patterns_worth=_interval(outcome.patterns_worth) if outcome.patterns_worth else None,
    )


def parameters(params: Mapping[str, float]) -> list[model_pb2.Parameter]:
    """Parameters sorted by name, each value as text that parses to the same number."""
    return [model_pb2.Parameter(name=name, value=_format_number(value)) for name, value in sorted(params.items())]


def _mining(mined: MiningResult) -> str:
    return (
        mined.waits or f"{len(mined.rules)} rules, found on {mined.searched} rows, tested on {mined.test_rows} others"
    )


def _format_number(value: float) -> str:
    """A number as text that parses to the same number; whole numbers without a decimal point."""
    return str(int(value)) if value == int(value) else repr(value)


def _window(window: WindowReport) -> model_pb2.Window:
    return model_pb2.Window(
        first_bar=Timestamp(seconds=window.first_time),
        last_bar=Timestamp(seconds=window.last_time),
        label_end=Timestamp(seconds=window.label_end),
        rows=window.rows,
    )


def _source(feature: str) -> str:
    if feature.startswith(RULE_PREFIX):
        return "pattern"
    return "base" if feature in BASE or feature == ONLINE_LOG_ODDS else "library"


def _metrics(metrics: Metrics) -> list[model_pb2.Metric]:
    return [
        model_pb2.Metric(name=name, interval=_interval(getattr(metrics, name)))
        for name in ("brier", "accuracy", "auc", "log_loss")
    ]


def _diagnosis(found: RegimeShift | OverfitGap) -> decision_pb2.Diagnosis:
    if isinstance(found, RegimeShift):
        shift = decision_pb2.RegimeShift(
            auc=found.auc, holdout_bars=found.rows, reference_windows=found.reference_windows
        )
        return decision_pb2.Diagnosis(regime_shift=shift)
    return decision_pb2.Diagnosis(overfit=decision_pb2.Overfit(excess=_interval(found.excess)))


def _interval(interval: Interval) -> model_pb2.Interval | None:
    """Undefined numbers (nan) are left unset."""
    if math.isnan(interval.value):
        return None
    bounds = {"low": interval.low, "high": interval.high}
    return model_pb2.Interval(
        value=interval.value, **{name: bound for name, bound in bounds.items() if not math.isnan(bound)}
    )


def _ranked(outcome: SessionOutcome) -> list[model_pb2.RankedFeature]:
    return [
        model_pb2.RankedFeature(name=each.name, rank=each.rank, share=_interval(each.share), useless=each.useless)
        for each in outcome.importance
    ]


def _comparisons(pairs: Sequence[ScoredPair]) -> list[registry_pb2.Comparison]:
    return [
        registry_pb2.Comparison(champion=pair.champion, contender=pair.contender, packed=pair.evidence)
        for pair in pairs
    ]


def _pattern(rule: Rule, inputs: SessionInputs) -> pattern_pb2.Pattern:
    conditions = [
        pattern_pb2.Condition(feature=each.feature, operator=_OPERATOR_OF[each.op], threshold=each.threshold)
        for each in rule.conditions
    ]
    return pattern_pb2.Pattern(
        id=pattern_id(rule, inputs.series, inputs.task),
        series=inputs.series,
        task=inputs.task,
        rule=pattern_pb2.Rule(conditions=conditions, label=rule.direction == 1),
        wording=sentence(rule, inputs.target),
        type=rule.kind,
    )
