# ruff: noqa: N806
"""Metrics with intervals, baselines on the same bars, importance and errors: by hand where a hand can."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.trainer.learning.candidates import Material
from services.trainer.learning.error_analysis import analyse
from services.trainer.learning.evaluation import baselines, compare, metrics, skill_shown
from services.trainer.learning.importance import importance
from services.trainer.models.families import FAMILIES
from services.trainer.models.function import Function, Link
from services.trainer.models.port import Sample
from services.trainer.windows import split


def test_metrics_by_hand() -> None:
    p, y = np.tile([0.8, 0.3, 0.6, 0.1], 10), np.tile([1.0, 0.0, 0.0, 1.0], 10)
    found = metrics(p, y, 1)
    assert found.bars == 40
    assert found.brier.value == pytest.approx((0.04 + 0.09 + 0.36 + 0.81) / 4)
    assert found.accuracy.value == 0.5
    assert found.auc.value == 0.5
    assert found.log_loss.value == pytest.approx(-sum(math.log(each) for each in (0.8, 0.7, 0.4, 0.1)) / 4)
    for interval in (found.brier, found.accuracy, found.auc, found.log_loss):
        assert interval.low < interval.value < interval.high


def persistent_material() -> tuple[Material, np.ndarray]:
    """Labels that repeat the last one in 80 % of bars; the columns know nothing."""
    generator = np.random.default_rng(1)
    y = (np.cumsum(generator.random(1500) < 0.2) % 2).astype(np.float64)
    last = np.concatenate([[np.nan], y[:-1]])
    y[-1:] = np.nan
    X = generator.normal(size=(1500, 2))
    return Material(X, y, ("a", "b"), split(y, 1, None), FAMILIES["random-forest"], 1), last


def test_persistence_is_the_frequency_after_the_last_label() -> None:
    made, last = persistent_material()
    found = baselines(made, last)
    held = made.windows.holdout.rows()
    fitted = made.windows.before(made.windows.holdout.start)
    after_one = made.y[fitted][last[fitted] == 1.0]
    assert found["persistence"][last[held] == 1.0] == pytest.approx((after_one.sum() + 1) / (len(after_one) + 2))
    assert set(found["majority"]) == {(made.y[fitted].sum() + 1) / (len(fitted) + 2)}
    assert np.array_equal(found["persistence"] > 0.5, last[held] == 1.0)


def test_skill_is_shown_only_against_the_best_baseline() -> None:
    made, last = persistent_material()
    held = made.windows.holdout.rows()
    y = made.y[held]
    others = baselines(made, last)
    assert skill_shown("random-forest", compare(np.where(y == 1, 0.9, 0.1), y, others, 1))
    assert not skill_shown("random-forest", compare(np.full(len(y), 0.5), y, others, 1))
    assert not skill_shown("random-forest", compare(others["persistence"], y, others, 1))


def test_a_logistic_model_is_not_its_own_rival() -> None:
    y = np.tile([1.0, 0.0, 1.0], 40)
    p = np.tile([0.8, 0.3, 0.7], 40) + 0.01 * np.sin(np.arange(120))
    reports = compare(p, y, {"majority": np.full(120, 0.6), "logistic": p}, 1)
    assert skill_shown("logistic", reports)
    assert not skill_shown("random-forest", reports)


def test_importance_goes_to_the_column_that_matters() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(600, 3))
    y = (X[:, 1] > 0).astype(np.float64)
    kind = FAMILIES["logistic"]
    fitted = kind.fit(Sample(X, y, np.arange(300)), kind.params(6), 1)
    function = Function(("a", "b", "c"), (Link((0, 1, 2), fitted, 0.0, 1.0, 0.0),))
    found = importance(function, X, y, np.arange(300, 600), np.random.default_rng(1))
    assert (found[0].name, found[0].rank, found[0].useless) == ("b", 1, False)
    assert found[0].share.value > 0.9
    again = importance(function, X, y, np.arange(300, 600), np.random.default_rng(1))
    assert found == again


def test_a_column_that_nothing_reads_is_not_ranked() -> None:
    kind = FAMILIES["logistic"]
    X = np.random.default_rng(0).normal(size=(200, 2))
    y, rows = (X[:, 0] > 0).astype(np.float64), np.arange(200)
    fitted = kind.fit(Sample(X[:, :1], y, rows), kind.params(5), 1)
    function = Function(("a", "unread"), (Link((0,), fitted, 0.0, 1.0, 0.0),))
    found = importance(function, X, y, rows, np.random.default_rng(1))
    assert [(each.name, each.useless) for each in found] == [("a", False)]


def test_a_column_that_knows_nothing_is_useless() -> None:
    generator = np.random.default_rng(3)
    X = generator.normal(size=(900, 2))
    y = (X[:, 0] + generator.normal(size=900) > 0).astype(np.float64)
    kind = FAMILIES["logistic"]
    fitted = kind.fit(Sample(X, y, np.arange(500)), kind.params(1), 1)
    function = Function(("a", "noise"), (Link((0, 1), fitted, 0.0, 1.0, 0.0),))
    found = importance(function, X, y, np.arange(500, 900), np.random.default_rng(1))
    assert {each.name: each.useless for each in found} == {"a": False, "noise": True}


def test_errors_show_where_the_bias_is() -> None:
    n = 400
    monday = 86_400 * 4
    times = monday + 86_400 * np.arange(n, dtype=np.int64)
    p, y = np.full(n, 0.5), (np.arange(n) % 2).astype(np.float64)
    y[np.arange(n) % 7 == 2] = 1.0
    volatile = np.where(np.arange(n) < 100, 1.0, -1.0)
    volatile[-5:] = np.nan
    slices = {(each.by, each.name): each for each in analyse(p, y, times, {"volatility": volatile}, 1)}
    wednesday = slices["weekday", "Wednesday"]
    assert wednesday.bias.value == 0.5
    assert abs(slices["weekday", "Monday"].bias.value) < 0.05
    assert slices["weekday", "Monday"].bars == 58
    assert slices["volatility", "high"].bars == 100
    assert slices["volatility", "usual"].bars == 300
    assert slices["probability", "0.5-0.6"].bars == n
    assert ("probability", "0.0-0.2") not in slices
