"""One training session as a pure function of its inputs.

plan       the windows, and the market-time cutoff of knowledge
run        errors of the parent → mining → candidates → selection → refit → holdout → evidence
rescore    the evidence again, after a change of champion; nothing is trained
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from ratchet.scoring import baselines, columns, features, targets
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.history import required_history
from ratchet.scoring.models import artifact
from ratchet.scoring.models.artifact import FrozenPattern, ModelFile
from ratchet.scoring.models.families import family
from ratchet.scoring.models.function import Function
from ratchet.scoring.targets import usable_rows
from services.trainer.learning import evaluation, lessons, session_diagnosis
from services.trainer.learning import pairs as pairing
from services.trainer.learning.candidates import CandidateData
from services.trainer.learning.context import Context
from services.trainer.learning.importance import importance
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.model_columns import extend_columns, readable_columns
from services.trainer.learning.outcome import SessionOutcome, UsedPattern, WindowReport
from services.trainer.learning.selection import Clock, select_candidate
from services.trainer.learning.study import Setting, study_plan
from services.trainer.learning.transfer import Parent
from services.trainer.learning.windows import Span, Windows, split

Report = Callable[[str, float], None]

LIBRARIES = ("numpy", "optuna", "scikit-learn", "skops", "ta-lib")
OWN_LIBRARIES = {"xgboost": ("xgboost",), "lstm": ("keras", "jax")}
_FIT, _SHUFFLE = 0, 1


@dataclass(frozen=True)
class Plan:
    """Windows of a session, and its cutoffs. Patterns are read as known before the bar time `known_before`.

    `market_time`: the last labelled bar; records of sessions of a later market time do not count.
    """

    windows: Windows
    new_bars: int
    known_before: int
    market_time: int


def plan(bars: Bars, target: str, horizon: int, last_labelled_time: int | None) -> Plan:
    """The plan of a session; DataRefused for too few usable bars.

    `last_labelled_time`: the latest market time of the lineage's earlier sessions, None in its first.
    """
    targets.require_volume(target, bars)
    y = targets.labels(target, bars, horizon)
    labelled = bars.time[usable_rows(y)]
    new = len(labelled) if last_labelled_time is None else int(np.sum(labelled > last_labelled_time))
    windows = split(y, horizon, None if last_labelled_time is None else new, series=bars.series)
    return Plan(windows, new, int(bars.time[windows.tune.start]), int(bars.time[windows.last_label]))


def run(inputs: SessionInputs, report: Report, clock: Clock = time.process_time) -> SessionOutcome:
    """Trains a version, scores it, and mines patterns. The same inputs give the same outcome.

    `report(phase, fraction)` receives progress; its errors end the session. `clock` only measures CPU seconds. Raises
    DataRefused, and CorruptData for an unreadable artifact.
    """
    started = clock()
    report("features", 0.0)
    planned = plan(inputs.bars, inputs.target, inputs.horizon, inputs.last_labelled_time)
    context = build_context(inputs, planned)
    windows = context.windows
    parent = context.open(inputs.parent) if inputs.parent else None
    model_family = family(inputs.model_type)
    grown = extend_columns(parent, inputs.patterns, features.available(inputs.bars, model_family.features))

    report("mining", 0.1)
    errors = lessons.parent_errors(context, parent)
    mining = lessons.mine_patterns(context)
    updates = tuple(lessons.pattern_updates(context))

    report("training", 0.25)
    X = context.table.matrix(grown.columns, grown.patterns)
    reads, excluded = readable_columns(grown.columns, inputs.useless)
    data = CandidateData(X, context.y, grown.columns, windows, model_family, _seed(inputs.seed, _FIT), reads)
    parent_model = _parent(context, parent)
    study = study_plan(
        model_family,
        inputs.sessions,
        parent_model.setting if parent_model else None,
        inputs.trials,
        inputs.options.suggestions,
    )
    selected = select_candidate(data, parent_model, study, lessons.row_weights(context, parent), clock)

    report("evaluating", 0.7)
    holdout = windows.holdout.rows()
    p, y = selected.function.probability(X, holdout), context.y[holdout]
    with_baselines = inputs.options.baselines
    baseline_forecasts = (
        baselines.forecasts(inputs.bars, inputs.target, inputs.horizon, context.table.online) if with_baselines else {}
    )
    baseline_reports = evaluation.compare_baselines(
        p, y, {name: forecast[holdout] for name, forecast in baseline_forecasts.items()}, inputs.horizon
    )

    report("importance", 0.8)
    generator = np.random.default_rng([inputs.seed, _SHUFFLE])
    ranked = importance(selected.trial.validation_function, X, context.y, selected.trial.validation_rows, generator)

    report("evidence", 0.95)
    model = _measured(context, selected.function, grown.patterns)
    fit_end = context.label_time(windows.fit_end)
    pairs, symbol_pairs = pairing.paired_evidence(context, model, fit_end)
    diagnoses = session_diagnosis.measure(context, parent, data, selected, pairs)
    return SessionOutcome(
        artifact=artifact.dump(model),
        format=artifact.FORMAT,
        history=model.history,
        windows=_window_reports(context),
        last_labelled_time=planned.market_time,
        new_bars=planned.new_bars,
        fit_end_label_time=fit_end,
        features=grown.columns,
        patterns_used=tuple(UsedPattern(pattern.id, pattern.evidence_end) for pattern in grown.patterns),
        patterns_left_out=grown.left_out,
        columns_left_out=excluded,
        params=dict(selected.trial.params),
        complexity_step=selected.trial.step,
        complexity_step_offered=study.offered,
        smaller_step_gain=selected.trial.smaller_step_gain,
        trials=selected.scratch.trials,
        corrections=tuple(
            trial.correction for trial in (selected.transfer, selected.scratch) if trial and trial.correction
        ),
        candidates=selected.reports,
        metrics=evaluation.metrics(p, y, inputs.horizon),
        baselines=baseline_reports,
        skill_shown=evaluation.skill_shown(baseline_reports),
        error_analysis=errors,
        importance=ranked,
        patterns_worth=evaluation.patterns_worth(data, selected.scratch, grown.from_patterns),
        diagnoses=diagnoses,
        pairs=pairs,
        symbol_pairs=symbol_pairs,
        mining=mining,
        pattern_updates=updates,
        cpu_seconds=clock() - started,
        library_versions=_versions(inputs.model_type),
    )


def rescore(inputs: SessionInputs, outcome: SessionOutcome) -> SessionOutcome:
    """Scores the model of `outcome` against the champion, contenders and symbol's best of `inputs`.

    Used after a change of champion during the session: the bars are the same, the model is not trained again.
    """
    context = build_context(inputs, plan(inputs.bars, inputs.target, inputs.horizon, inputs.last_labelled_time))
    pairs, symbol_pairs = pairing.paired_evidence(context, artifact.load(outcome.artifact), outcome.fit_end_label_time)
    return replace(outcome, pairs=pairs, symbol_pairs=symbol_pairs)


def build_context(inputs: SessionInputs, planned: Plan) -> Context:
    """Builds the shared data of the planned session's steps."""
    y = targets.labels(inputs.target, inputs.bars, inputs.horizon)
    return Context(inputs, planned.windows, y, columns.FeatureTable.of(inputs.bars, inputs.target, inputs.horizon))


def _measured(context: Context, function: Function, patterns: tuple[FrozenPattern, ...]) -> ModelFile:
    """The model of a function with its measured history."""
    inputs = context.inputs
    model = ModelFile(inputs.series, inputs.target, inputs.horizon, inputs.model_type, function, patterns, history=0)
    return replace(model, history=required_history(model, inputs.bars, context.table))


def _seed(seed: int, purpose: int) -> int:
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1)[0])


def _parent(context: Context, file: ModelFile | None) -> Parent | None:
    scored = context.inputs.parent
    if file is None or scored is None:
        return None
    unseen = context.times > scored.fit_end_label_time
    return Parent(scored.name, file.function, unseen, Setting(scored.complexity_step, scored.params))


def _versions(model_type: str) -> dict[str, str]:
    libraries = (*LIBRARIES, *OWN_LIBRARIES.get(model_type, ()))
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def _window_reports(context: Context) -> tuple[WindowReport, ...]:
    def one(name: str, span: Span) -> WindowReport:
        first, last = int(context.times[span.start]), int(context.times[span.stop - 1])
        return WindowReport(name, len(span), first, last, context.label_time(span.stop - 1))

    windows = context.windows
    return (
        one("training", windows.training),
        one("tune", windows.tune),
        one("choose", windows.choose),
        one("holdout", windows.holdout),
    )
