"""A study starts from what the lineage knows, remembers what did badly, and is the same again for the same log."""

from __future__ import annotations

from ratchet.scoring.models.families import FAMILIES
from services.trainer.learning.inputs import PastTrial
from services.trainer.learning.study import ON_MARGIN, Setting, StudyPlan, run_study, study_plan

LOGISTIC = FAMILIES["logistic"]
FOREST = FAMILIES["random-forest"]


def past(inverse_penalty: float, score: float) -> PastTrial:
    return PastTrial(1, {"inverse_penalty": inverse_penalty, ON_MARGIN: 1.0}, score)


def tried(plan: StudyPlan, seed: int = 1, family: str = "logistic") -> list[Setting]:
    """The settings that a study tries when a small penalty is best."""
    seen: list[Setting] = []

    def score(setting: Setting) -> float:
        seen.append(setting)
        return 0.25 - 0.001 * setting.params.get("inverse_penalty", 0.0)

    run_study(FAMILIES[family], plan, seed, score)
    return seen


def test_a_session_tries_the_step_that_is_due_on_and_off_the_margin_and_the_step_before_on_it() -> None:
    parent = Setting(2, {**FOREST.params(2), "leaf": 40.0, "trees": 7.0, ON_MARGIN: 0.0})
    plan = study_plan(FOREST, sessions=3, parent=parent)
    tuned = {"leaf": 40.0, "columns": FOREST.params(2)["columns"]}
    assert plan.settings == (
        Setting(4, {**FOREST.params(4), **tuned, ON_MARGIN: 1.0}),
        Setting(4, {**FOREST.params(4), **tuned, ON_MARGIN: 0.0}),
        Setting(3, {**FOREST.params(3), **tuned, ON_MARGIN: 1.0}),
    )
    assert plan.offered == 4


def test_a_first_session_has_no_step_before_and_complexity_ends_at_ten() -> None:
    own = LOGISTIC.params(1)
    assert study_plan(LOGISTIC, 0, None).settings == tuple(Setting(1, {**own, ON_MARGIN: on}) for on in (1.0, 0.0))
    late = study_plan(LOGISTIC, 40, None)
    assert (late.offered, [setting.step for setting in late.settings]) == (10, [10, 10, 9])


def test_the_same_memory_and_seed_give_the_same_suggestions() -> None:
    past_trials = tuple(past(0.001 * 2.0**k, 1.0 - 0.001 * k) for k in range(10))
    plan = study_plan(LOGISTIC, 2, None, past_trials, suggestions=4)
    assert len(tried(plan)) == len(plan.settings) + 4
    assert tried(plan) == tried(plan)
    assert tried(plan) != tried(plan, seed=2)
    assert tried(plan) != tried(study_plan(LOGISTIC, 2, None, past_trials[:5], suggestions=4))


def test_suggestions_stay_in_the_space_and_at_the_step_that_is_due() -> None:
    hyperparameters = {hyperparameter.name: hyperparameter for hyperparameter in FOREST.hyperparameters}
    plan = study_plan(FOREST, 2, None, suggestions=20)
    suggested = tried(plan, family="random-forest")[len(plan.settings) :]
    assert {setting.on_margin for setting in suggested} == {True, False}
    for setting in suggested:
        assert setting.step == 3
        assert {name: setting.params[name] for name in ("trees", "depth")} == {
            name: FOREST.params(3)[name] for name in ("trees", "depth")
        }
        for name, hyperparameter in hyperparameters.items():
            assert hyperparameter.low <= setting.params[name] <= hyperparameter.high
            assert not hyperparameter.whole or setting.params[name] == int(setting.params[name])


def test_what_did_badly_is_avoided() -> None:
    """Twenty sessions saw that strong penalties are bad: few suggestions fall there, without memory about half do."""
    strong = tuple(past(0.0006 * 1.1**k, 1.05) for k in range(20))
    weak = tuple(past(0.1 * 1.1**k, 0.95) for k in range(20))

    def bad(past_trials: tuple[PastTrial, ...]) -> int:
        plan = StudyPlan(study_plan(LOGISTIC, 0, None).settings[:1], 1, 6, past_trials)
        suggested = [setting for seed in range(10) for setting in tried(plan, seed)[1:]]
        return sum(setting.params["inverse_penalty"] < 0.01 for setting in suggested)

    assert bad((*strong, *weak)) <= 6
    assert bad(()) >= 15


def test_a_trial_from_another_space_is_left_out() -> None:
    foreign = (past(1e9, 0.5), PastTrial(1, {"depth": 3.0}, 0.5), PastTrial(1, {"inverse_penalty": 0.01}, 0.5))
    plan = study_plan(LOGISTIC, 0, None, foreign, suggestions=2)
    assert tried(plan) == tried(study_plan(LOGISTIC, 0, None, suggestions=2))
