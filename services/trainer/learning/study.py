"""The study of a session: which settings of a family to try on the training window.

Optuna's TPE, rebuilt each time from what the lineage's sessions tried before: the same memory and seed give the same
suggestions. Settings that did badly are thereby avoided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from services.trainer.learning.inputs import PastTrial
from services.trainer.models.port import MAX_STEP, Family, Knob, Params

STARTUP_TRIALS = 5
"""Suggestions are random until the memory holds this many trials."""

_STEP = "complexity_step"

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Setting:
    """A complexity step, and hyperparameters."""

    step: int
    params: Params


@dataclass(frozen=True)
class Search:
    """What a study tries: the `enqueued` settings in order, then `asked` suggestions of steps up to `ceiling`."""

    enqueued: tuple[Setting, ...]
    ceiling: int
    asked: int = 0
    memory: tuple[PastTrial, ...] = ()


def steps(family: Family, *numbers: int) -> Search:
    """The family's own settings of these complexity steps, and no suggestions."""
    return Search(tuple(Setting(step, family.params(step)) for step in numbers), max(numbers))


def search(
    family: Family, sessions: int, parent: Setting | None, memory: Sequence[PastTrial] = (), asked: int = 0
) -> Search:
    """What the session after `sessions` others tries: what the parent was tuned to, at its step and at the one that is
    due, and the first step as it is. How many rounds the parent kept binds nobody: each fit stops early for itself.
    """
    due = min(MAX_STEP, sessions + 1)
    enqueued = [Setting(1, family.params(1))]
    if parent is not None:
        tuned = {knob.name: parent.params[knob.name] for knob in family.knobs if knob.name in parent.params}
        enqueued = [*(Setting(step, {**family.params(step), **tuned}) for step in (parent.step, due)), *enqueued]
    elif due > 1:
        enqueued.append(Setting(due, family.params(due)))
    distinct = [setting for place, setting in enumerate(enqueued) if setting not in enqueued[:place]]
    return Search(tuple(distinct), due, asked, tuple(memory))


def explore(family: Family, wanted: Search, seed: int, score: Callable[[Setting], float]) -> None:
    """Call `score` (smaller is better) on every setting of the search; scores lead the suggestions."""
    scores = [score(setting) for setting in wanted.enqueued]
    if not wanted.asked:
        return
    space: dict[str, BaseDistribution] = {_STEP: IntDistribution(1, max(1, wanted.ceiling))}
    space |= {knob.name: _distribution(knob) for knob in family.knobs}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS))
    for past in wanted.memory:
        _remember(study, space, past)
    for setting, reached in zip(wanted.enqueued, scores, strict=True):
        _remember(study, space, PastTrial(setting.step, setting.params, reached / scores[0]))
    for _ in range(wanted.asked):
        trial = study.ask(space)
        knobs = {name: float(value) for name, value in trial.params.items() if name != _STEP}
        step = int(trial.params[_STEP])
        study.tell(trial, score(Setting(step, {**family.params(step), **knobs})) / scores[0])


def _distribution(knob: Knob) -> BaseDistribution:
    if knob.whole:
        return IntDistribution(int(knob.low), int(knob.high), log=knob.log)
    return FloatDistribution(knob.low, knob.high, log=knob.log)


def _remember(study: optuna.Study, space: Mapping[str, BaseDistribution], past: PastTrial) -> None:
    """Add a trial; one from outside the space (another version's) is left out."""
    values = {name: past.step if name == _STEP else past.params.get(name) for name in space}
    known = {name: value for name, value in values.items() if value is not None}
    whole = {name: int(value) if isinstance(space[name], IntDistribution) else value for name, value in known.items()}
    if len(whole) < len(space) or not all(space[name]._contains(value) for name, value in whole.items()):
        return
    trial: FrozenTrial = optuna.trial.create_trial(
        params=whole, distributions=dict(space), value=past.score, state=TrialState.COMPLETE
    )
    study.add_trial(trial)
