"""A study starts from what the lineage knows, remembers what did badly, and is the same again for the same log."""

from __future__ import annotations

from services.trainer.learning.inputs import PastTrial
from services.trainer.learning.study import Search, Setting, explore, search, steps
from services.trainer.models.families import FAMILIES

LOGISTIC = FAMILIES["logistic"]
FOREST = FAMILIES["random-forest"]


def tried(wanted: Search, seed: int = 1, family: str = "logistic") -> list[Setting]:
    """The settings that a study tries when a small penalty is best."""
    seen: list[Setting] = []

    def score(setting: Setting) -> float:
        seen.append(setting)
        return 0.25 - 0.001 * setting.params.get("inverse_penalty", 0.0)

    explore(FAMILIES[family], wanted, seed, score)
    return seen


def test_the_parents_setting_comes_first_then_the_step_that_is_due_with_what_the_parent_tuned() -> None:
    parent = Setting(2, {**FOREST.params(2), "leaf": 40.0, "trees": 7.0})
    wanted = search(FOREST, sessions=3, parent=parent)
    assert wanted.enqueued[0] == Setting(2, {**FOREST.params(2), "leaf": 40.0})
    assert wanted.enqueued[1] == Setting(4, {**FOREST.params(4), "leaf": 40.0, "columns": FOREST.params(2)["columns"]})
    assert wanted.enqueued[2] == Setting(1, FOREST.params(1))
    assert wanted.ceiling == 4


def test_a_first_session_tries_the_first_step_once_and_complexity_ends_at_ten() -> None:
    assert search(LOGISTIC, 0, None).enqueued == (Setting(1, LOGISTIC.params(1)),)
    assert search(LOGISTIC, 40, None).ceiling == 10
    assert steps(LOGISTIC, 1, 3).enqueued == (Setting(1, LOGISTIC.params(1)), Setting(3, LOGISTIC.params(3)))


def test_the_same_memory_and_seed_give_the_same_suggestions() -> None:
    memory = tuple(PastTrial(1, {"inverse_penalty": 0.001 * 2.0**k}, 1.0 - 0.001 * k) for k in range(10))
    wanted = search(LOGISTIC, 2, None, memory, asked=4)
    assert len(tried(wanted)) == len(wanted.enqueued) + 4
    assert tried(wanted) == tried(wanted)
    assert tried(wanted) != tried(wanted, seed=2)
    assert tried(wanted) != tried(search(LOGISTIC, 2, None, memory[:5], asked=4))


def test_suggestions_stay_in_the_space_and_below_the_step_that_is_due() -> None:
    knobs = {knob.name: knob for knob in FOREST.knobs}
    for setting in tried(search(FOREST, 2, None, asked=20), family="random-forest"):
        assert 1 <= setting.step <= 3
        assert {name: setting.params[name] for name in ("trees", "depth")} == {
            name: FOREST.params(setting.step)[name] for name in ("trees", "depth")
        }
        for name, knob in knobs.items():
            assert knob.low <= setting.params[name] <= knob.high
            assert not knob.whole or setting.params[name] == int(setting.params[name])


def test_what_did_badly_is_avoided() -> None:
    """Twenty sessions saw that strong penalties are bad: few suggestions fall there, without memory about half do."""
    strong = tuple(PastTrial(1, {"inverse_penalty": 0.0006 * 1.2**k}, 1.05) for k in range(20))
    weak = tuple(PastTrial(1, {"inverse_penalty": 0.5 * 1.1**k}, 0.95) for k in range(20))

    def bad(memory: tuple[PastTrial, ...]) -> int:
        wanted = Search((Setting(1, LOGISTIC.params(1)),), 1, 6, memory)
        suggested = [setting for seed in range(10) for setting in tried(wanted, seed)[1:]]
        return sum(setting.params["inverse_penalty"] < 0.05 for setting in suggested)

    assert bad((*strong, *weak)) <= 6
    assert bad(()) >= 15


def test_a_trial_from_another_space_is_left_out() -> None:
    foreign = (PastTrial(1, {"inverse_penalty": 1e9}, 0.5), PastTrial(1, {"depth": 3.0}, 0.5))
    wanted = search(LOGISTIC, 0, None, foreign, asked=2)
    assert tried(wanted) == tried(search(LOGISTIC, 0, None, asked=2))
