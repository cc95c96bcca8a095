# ruff: noqa: N806
"""Transfer carries on what the parent learned, as far as what it has not seen allows."""

from __future__ import annotations

import numpy as np
import pytest

from services.trainer.learning.candidates import (
    TOO_FEW,
    Material,
    Parent,
    scratch_final,
    scratch_trial,
    steps_to_try,
    transfer_final,
    transfer_skipped,
    transfer_trial,
)
from services.trainer.models.families import FAMILIES
from services.trainer.models.function import Function, Link
from services.trainer.models.port import sigmoid
from services.trainer.windows import split

N = 1600


def material(horizon: int = 1, signal: float = 1.0, family: str = "logistic") -> Material:
    generator = np.random.default_rng(4)
    X = generator.normal(size=(N, 3))
    y = (generator.random(N) < sigmoid(signal * (X[:, 0] + X[:, 2]))).astype(np.float64)
    y[N - horizon :] = np.nan
    return Material(X, y, ("a", "b", "c"), split(y, horizon, None), FAMILIES[family], 5)


def parent(made: Material, unseen_before_holdout: int, bias: float = 0.0) -> Parent:
    """A parent that knows column a, and has not seen that many rows before the holdout."""
    kind = made.family
    last = made.windows.holdout.start - made.windows.horizon - unseen_before_holdout
    rows = np.arange(250, last)
    part = kind.fit(made.X[rows, :2], made.y[rows], kind.params(1), 1)
    function = Function(("a", "b"), (Link(2, part, 0.0, 1.0, bias),))
    return Parent("S/range/logistic/v1", function, np.arange(N) >= last, 1, kind.params(1))


@pytest.mark.parametrize(
    ("unseen", "links", "recipe"), [(250, 2, "extended"), (249, 2, "recalibrated"), (60, 2, "recalibrated")]
)
def test_the_recipe_follows_from_the_number_of_unseen_rows(unseen: int, links: int, recipe: str) -> None:
    made = material()
    before = parent(made, unseen)
    assert transfer_skipped(made, before) == ""
    trial, final = transfer_trial(made, before), transfer_final(made, before)
    assert trial.description == f"{recipe} S/range/logistic/v1"
    assert len(final.links) == links
    assert (final.links[-1].fitted is not None) == (recipe == "extended")
    assert final.columns == ("a", "b", "c")
    assert final.links[0] is before.function.links[0]


def test_fewer_than_sixty_unseen_rows_or_a_rare_class_skip_it() -> None:
    made = material()
    assert transfer_skipped(made, parent(made, 59)) == TOO_FEW
    rare = parent(made, 200)
    y = made.y.copy()
    rows = np.flatnonzero(rare.unseen & np.isfinite(y))
    y[rows] = 0.0
    y[rows[:19]] = 1.0
    assert transfer_skipped(Material(made.X, y, made.columns, made.windows, made.family, 5), rare) == TOO_FEW
    y[rows[:20]] = 1.0
    assert transfer_skipped(Material(made.X, y, made.columns, made.windows, made.family, 5), rare) == ""


def test_a_new_part_learns_what_the_parent_could_not_see() -> None:
    made = material(signal=1.5)
    before = parent(made, 700)
    held = made.windows.holdout.rows()

    def loss(function: Function) -> float:
        return float(np.mean((function.probability(made.X[held]) - made.y[held]) ** 2))

    assert loss(transfer_final(made, before)) < loss(before.function) - 0.01


@pytest.mark.parametrize("bias", [-1.5, 1.5])
def test_recalibration_moves_against_the_bias_of_the_parent(bias: float) -> None:
    made = material()
    link = transfer_final(made, parent(made, 240, bias)).links[-1]
    assert np.sign(link.c) == -np.sign(bias)


def test_what_is_compared_knows_nothing_of_choose() -> None:
    made = material(horizon=5)
    y = made.y.copy()
    choose = made.windows.choose.start
    y[choose - 5 :] = 1.0 - y[choose - 5 :]
    turned = Material(made.X, y, made.columns, made.windows, made.family, 5)
    before = parent(made, 600)
    for trial, other in (
        (transfer_trial(made, before), transfer_trial(turned, before)),
        (scratch_trial(made, (1, 2)), scratch_trial(turned, (1, 2))),
    ):
        assert trial.function.margin(made.X).tobytes() == other.function.margin(made.X).tobytes()
        assert trial.tune_score == other.tune_score


def test_the_head_of_a_new_model_is_fitted_on_tune_and_kept() -> None:
    made = material()
    trial = scratch_trial(made, (1, 2))
    functions = (trial.honest, trial.function, scratch_final(made, trial))
    assert len({(link.a, link.b, link.c) for function in functions for link in function.links}) == 1
    assert set(made.windows.training.rows()).isdisjoint(trial.honest_rows)


def test_tune_may_choose_an_earlier_step() -> None:
    made = material(signal=0.0)
    steps = (1, 6, 10)
    scores = {step: scratch_trial(made, (step,)).tune_score for step in steps}
    assert scratch_trial(made, steps).step == min(steps, key=lambda step: (scores[step], step))


def test_steps_follow_the_sessions_of_the_lineage() -> None:
    assert steps_to_try(0, None) == (1,)
    assert steps_to_try(3, 2) == (1, 2, 3, 4)
    assert steps_to_try(40, 10) == (1, 9, 10)
