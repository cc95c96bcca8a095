"""One training session, from bars and what is known to a model and everything learned on the way. Pure.

plan       the windows, and the market time before which knowledge may be asked for
run        errors of the parent → mining → candidates → choice → refit → holdout → evidence
rescored   the evidence again, when the champion moved meanwhile; nothing is trained
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
from ratchet.scoring.models import artifact
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.families import family
from ratchet.scoring.targets import usable_rows
from services.trainer.learning import evaluation, findings, growth, lessons
from services.trainer.learning import pairs as pairing
from services.trainer.learning.candidates import Material
from services.trainer.learning.context import Context
from services.trainer.learning.importance import importance
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.outcome import SessionOutcome, UsedPattern, WindowReport
from services.trainer.learning.selection import Clock, choose
from services.trainer.learning.study import Setting, search
from services.trainer.learning.transfer import Parent
from services.trainer.learning.windows import Span, Windows, split

Report = Callable[[str, float], None]

LIBRARIES = ("numpy", "optuna", "scikit-learn", "skops", "ta-lib")
OWN_LIBRARIES = {"xgboost": ("xgboost",), "lstm": ("keras", "jax")}
_FIT, _SHUFFLE = 0, 1


@dataclass(frozen=True)
class Plan:
    """What a session will use for what. Patterns may be asked for as known before the bar time `known_before`.

    `market_time`: the last labelled bar; what sessions of a later one recorded does not count.
    """

    windows: Windows
    new_bars: int
    known_before: int
    market_time: int


def plan(bars: Bars, target: str, horizon: int, last_labelled_time: int | None) -> Plan:
    """The plan of a session; DataRefused when there are too few usable bars.

    `last_labelled_time`: the latest market time of the lineage's earlier sessions, None in its first.
    """
    targets.require_volume(target, bars)
    y = targets.labels(target, bars, horizon)
    labelled = bars.time[usable_rows(y)]
    new = len(labelled) if last_labelled_time is None else int(np.sum(labelled > last_labelled_time))
    windows = split(y, horizon, None if last_labelled_time is None else new, series=bars.series)
    return Plan(windows, new, int(bars.time[windows.tune.start]), int(bars.time[windows.last_label]))


def run(inputs: SessionInputs, report: Report, clock: Clock = time.process_time) -> SessionOutcome:
    """Train a version, score it, and learn what there is to learn. The same inputs give the same outcome.

    `report(phase, fraction)` is told of progress; what it raises ends the session. `clock` measures CPU seconds and
    decides nothing. Raises DataRefused, and CorruptData for an artifact that can't be read.
    """
    started = clock()
    report("features", 0.0)
    planned = plan(inputs.bars, inputs.target, inputs.horizon, inputs.last_labelled_time)
    context = context_of(inputs, planned)
    windows = context.windows
    parent = context.open(inputs.parent) if inputs.parent else None
    kind = family(inputs.model_type)
    grown = growth.grow(parent, inputs.patterns, features.available(inputs.bars, kind.features))

    report("mining", 0.1)
    errors = lessons.parent_errors(context, parent)
    mined = lessons.mined(context)
    updates = tuple(lessons.updates(context))

    report("training", 0.25)
    X = context.table.matrix(grown.columns, grown.patterns)
    reads, left_out = growth.reads(grown.columns, inputs.useless)
    material = Material(X, context.y, grown.columns, windows, kind, _seed(inputs.seed, _FIT), reads)
    carried = _parent(context, parent)
    wanted = search(kind, inputs.sessions, carried.setting if carried else None, inputs.trials, inputs.recipe.asked)
    chosen = choose(material, carried, wanted, lessons.emphasis(context, parent), clock)

    report("evaluating", 0.7)
    held = windows.holdout.rows()
    p, y = chosen.function.probability(X, held), context.y[held]
    asked = inputs.recipe.baselines
    simple = baselines.forecasts(inputs.bars, inputs.target, inputs.horizon, context.table.online) if asked else {}
    beside = evaluation.compare(p, y, {name: said[held] for name, said in simple.items()}, inputs.horizon)

    report("importance", 0.8)
    generator = np.random.default_rng([inputs.seed, _SHUFFLE])
    ranked = importance(chosen.trial.honest, X, context.y, chosen.trial.honest_rows, generator)

    report("evidence", 0.95)
    model = ModelFile(inputs.series, inputs.target, inputs.horizon, inputs.model_type, chosen.function, grown.patterns)
    fit_end = context.label_time(windows.fit_end)
    pairs, symbol_pairs = pairing.pairs(context, model, fit_end)
    found = findings.measure(context, parent, material, chosen, pairs)
    return SessionOutcome(
        artifact=artifact.dump(model),
        format=artifact.FORMAT,
        windows=_window_reports(context),
        last_labelled_time=planned.market_time,
        new_bars=planned.new_bars,
        fit_end_label_time=fit_end,
        features=grown.columns,
        patterns_used=tuple(UsedPattern(pattern.id, pattern.evidence_end) for pattern in grown.patterns),
        patterns_left_out=grown.left_out,
        columns_left_out=left_out,
        params=dict(chosen.trial.params),
        complexity_step=chosen.trial.step,
        complexity_step_offered=wanted.offered,
        smaller_step_gain=chosen.trial.smaller_step_gain,
        trials=chosen.scratch.trials,
        corrections=tuple(
            trial.correction for trial in (chosen.transfer, chosen.scratch) if trial and trial.correction
        ),
        candidates=chosen.reports,
        metrics=evaluation.metrics(p, y, inputs.horizon),
        baselines=beside,
        skill_shown=evaluation.skill_shown(beside),
        error_analysis=errors,
        importance=ranked,
        patterns_worth=evaluation.patterns_worth(material, chosen.scratch, grown.from_patterns),
        findings=found,
        pairs=pairs,
        symbol_pairs=symbol_pairs,
        mined=mined,
        pattern_updates=updates,
        cpu_seconds=clock() - started,
        library_versions=_versions(inputs.model_type),
    )


def rescored(inputs: SessionInputs, outcome: SessionOutcome) -> SessionOutcome:
    """The outcome with its model scored against the champion, contenders and symbol's best of `inputs`.

    For when these moved after the session began: the bars are the same, the model is not trained again.
    """
    context = context_of(inputs, plan(inputs.bars, inputs.target, inputs.horizon, inputs.last_labelled_time))
    pairs, symbol_pairs = pairing.pairs(context, artifact.load(outcome.artifact), outcome.fit_end_label_time)
    return replace(outcome, pairs=pairs, symbol_pairs=symbol_pairs)


def context_of(inputs: SessionInputs, planned: Plan) -> Context:
    """What the steps of the planned session share."""
    y = targets.labels(inputs.target, inputs.bars, inputs.horizon)
    return Context(inputs, planned.windows, y, columns.Table.of(inputs.bars, inputs.target, inputs.horizon))


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
