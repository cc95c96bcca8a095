"""Hyperparameter study of a session.

Optuna's TPE, rebuilt each time from the trials of the lineage's sessions: the same trials and seed give the same
suggestions. TPE avoids settings with bad past scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratchet.scoring.models.port import MAX_STEP, Family, Hyperparameter, Params
from services.trainer.learning.inputs import PastTrial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

STARTUP_TRIALS = 5
"""Suggestions are random up to this number of trials."""

ON_MARGIN = "on_margin"
"""1: the model learns the residual to the log-odds of online@baseline; 0: it stands alone."""


@dataclass(frozen=True)
class Setting:
    """A complexity step, and hyperparameters with ON_MARGIN among them."""

    step: int
    params: Params

    @property
    def on_margin(self) -> bool:
        return self.params.get(ON_MARGIN, 0.0) > 0.0


@dataclass(frozen=True)
class StudyPlan:
    """Settings of a study: first `settings` in order, the first at the complexity step `offered`, then `suggestions`
    suggested settings at that step."""

    settings: tuple[Setting, ...]
    offered: int
    suggestions: int = 0
    past_trials: tuple[PastTrial, ...] = ()


def study_plan(
    family: Family, sessions: int, parent: Setting | None, past_trials: Sequence[PastTrial] = (), suggestions: int = 0
) -> StudyPlan:
    """Plans the study of a session after `sessions` others, at the next complexity step: the parent's hyperparameters,
    or the family's defaults, on the margin and off it; then on the margin at the previous step. The parent's number of
    rounds is not inherited: each fit stops early on its own.
    """
    offered = min(MAX_STEP, sessions + 1)
    inherited: dict[str, float] = {}
    if parent is not None:
        inherited = {
            hyperparameter.name: parent.params[hyperparameter.name]
            for hyperparameter in family.hyperparameters
            if hyperparameter.name in parent.params
        }

    def setting(step: int, on_margin: float) -> Setting:
        return Setting(step, {**family.params(step), **inherited, ON_MARGIN: on_margin})

    settings = [setting(offered, 1.0), setting(offered, 0.0)]
    if offered > 1:
        settings.append(setting(offered - 1, 1.0))
    return StudyPlan(tuple(settings), offered, suggestions, tuple(past_trials))


def run_study(family: Family, plan: StudyPlan, seed: int, score: Callable[[Setting], float]) -> None:
    """Calls `score` (smaller is better) on every setting of the plan; scores guide the suggestions."""
    scores = [score(setting) for setting in plan.settings]
    if not plan.suggestions:
        return
    import optuna
    from optuna.distributions import IntDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, BaseDistribution] = {ON_MARGIN: IntDistribution(0, 1)}
    space |= {hyperparameter.name: _distribution(hyperparameter) for hyperparameter in family.hyperparameters}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS))
    for past in plan.past_trials:
        _remember(study, space, past)
    for setting, reached in zip(plan.settings, scores, strict=True):
        _remember(study, space, PastTrial(setting.step, setting.params, reached / scores[0]))
    for _ in range(plan.suggestions):
        trial = study.ask(space)
        suggested = {name: float(value) for name, value in trial.params.items()}
        params = {**family.params(plan.offered), **suggested}
        study.tell(trial, score(Setting(plan.offered, params)) / scores[0])


def _distribution(hyperparameter: Hyperparameter) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    if hyperparameter.whole:
        return IntDistribution(int(hyperparameter.low), int(hyperparameter.high), log=hyperparameter.log)
    return FloatDistribution(hyperparameter.low, hyperparameter.high, log=hyperparameter.log)


def _remember(study: optuna.Study, space: Mapping[str, BaseDistribution], past: PastTrial) -> None:
    """Adds a past trial, unless it lies outside the space (of another version)."""
    import optuna
    from optuna.distributions import IntDistribution
    from optuna.trial import TrialState

    values = {name: past.params.get(name) for name in space}
    known = {name: value for name, value in values.items() if value is not None}
    whole = {name: int(value) if isinstance(space[name], IntDistribution) else value for name, value in known.items()}
    if len(whole) < len(space) or not all(space[name]._contains(value) for name, value in whole.items()):
        return
    trial = optuna.trial.create_trial(
        params=whole, distributions=dict(space), value=past.score, state=TrialState.COMPLETE
    )
    study.add_trial(trial)
