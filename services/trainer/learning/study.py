"""The study of a session: which settings of a family to try on the training window.

Optuna's TPE, rebuilt each time from what the lineage's sessions tried before: the same memory and seed give the same
suggestions. Settings that did badly are thereby avoided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratchet.scoring.models.port import MAX_STEP, Family, Knob, Params
from services.trainer.learning.inputs import PastTrial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

STARTUP_TRIALS = 5
"""Suggestions are random until the memory holds this many trials."""

ON_MARGIN = "on_margin"
"""1: the model starts from the log-odds of online@baseline and learns their residual; 0: it stands alone."""


@dataclass(frozen=True)
class Setting:
    """A complexity step, and hyperparameters with ON_MARGIN among them."""

    step: int
    params: Params

    @property
    def on_margin(self) -> bool:
        return self.params.get(ON_MARGIN, 0.0) > 0.0


@dataclass(frozen=True)
class Search:
    """What a study tries: the `enqueued` settings in order, the first at the step `offered`, then `asked` suggestions
    at that step."""

    enqueued: tuple[Setting, ...]
    offered: int
    asked: int = 0
    memory: tuple[PastTrial, ...] = ()


def search(
    family: Family, sessions: int, parent: Setting | None, memory: Sequence[PastTrial] = (), asked: int = 0
) -> Search:
    """What the session after `sessions` others tries at the complexity step that is due: the parent's hyperparameters,
    or the family's own, on the margin and off it; then the same on the margin at the step before. How many rounds the
    parent kept binds nobody: each fit stops early for itself.
    """
    due = min(MAX_STEP, sessions + 1)
    tuned: dict[str, float] = {}
    if parent is not None:
        tuned = {knob.name: parent.params[knob.name] for knob in family.knobs if knob.name in parent.params}

    def setting(step: int, on_margin: float) -> Setting:
        return Setting(step, {**family.params(step), **tuned, ON_MARGIN: on_margin})

    enqueued = [setting(due, 1.0), setting(due, 0.0)]
    if due > 1:
        enqueued.append(setting(due - 1, 1.0))
    return Search(tuple(enqueued), due, asked, tuple(memory))


def explore(family: Family, wanted: Search, seed: int, score: Callable[[Setting], float]) -> None:
    """Call `score` (smaller is better) on every setting of the search; scores lead the suggestions."""
    scores = [score(setting) for setting in wanted.enqueued]
    if not wanted.asked:
        return
    import optuna
    from optuna.distributions import IntDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, BaseDistribution] = {ON_MARGIN: IntDistribution(0, 1)}
    space |= {knob.name: _distribution(knob) for knob in family.knobs}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS))
    for past in wanted.memory:
        _remember(study, space, past)
    for setting, reached in zip(wanted.enqueued, scores, strict=True):
        _remember(study, space, PastTrial(setting.step, setting.params, reached / scores[0]))
    for _ in range(wanted.asked):
        trial = study.ask(space)
        suggested = {name: float(value) for name, value in trial.params.items()}
        params = {**family.params(wanted.offered), **suggested}
        study.tell(trial, score(Setting(wanted.offered, params)) / scores[0])


def _distribution(knob: Knob) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    if knob.whole:
        return IntDistribution(int(knob.low), int(knob.high), log=knob.log)
    return FloatDistribution(knob.low, knob.high, log=knob.log)


def _remember(study: optuna.Study, space: Mapping[str, BaseDistribution], past: PastTrial) -> None:
    """Add a trial; one from outside the space (another version's) is left out."""
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
