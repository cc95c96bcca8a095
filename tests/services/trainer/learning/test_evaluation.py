# ruff: noqa: N806
"""Metrics with intervals, baselines on the same bars, importance and errors: by hand where a hand can."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ratchet.names import SKILL_BASELINES
from ratchet.scoring.models.families import FAMILIES
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Sample
from services.trainer.learning.error_analysis import analyse
from services.trainer.learning.evaluation import compare_baselines, metrics, skill_shown
from services.trainer.learning.importance import importance


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


def test_no_metric_is_defined_with_fewer_than_20_bars_of_a_class() -> None:
    y = np.concatenate([np.ones(19), np.zeros(200)])
    p = np.full(219, 0.1)
    for each in (metrics(p, y, 1), compare_baselines(p, y, {"base-rate@baseline": p}, 1)[0].metrics):
        assert each.bars == 219
        for interval in (each.brier, each.accuracy, each.auc, each.log_loss):
            assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert np.isnan(compare_baselines(p, y, {"base-rate@baseline": p}, 1)[0].gain.value)
    assert np.isfinite(metrics(p[:219], np.concatenate([y[:-1], [1.0]]), 1).brier.value)


def others(y: np.ndarray) -> dict[str, np.ndarray]:
    """What each baseline that skill is measured against says of labels y: one half."""
    return dict.fromkeys(SKILL_BASELINES, np.full(len(y), 0.5))


def test_skill_is_shown_only_where_each_of_its_baselines_is_beaten() -> None:
    y = np.tile([1.0, 0.0, 1.0], 40)
    p = np.where(y == 1, 0.7, 0.3) + 0.01 * np.cos(np.arange(120))
    assert skill_shown(compare_baselines(p, y, others(y), 1))
    assert not skill_shown(compare_baselines(np.full(len(y), 0.5), y, others(y), 1))
    for name in SKILL_BASELINES:
        assert not skill_shown(compare_baselines(p, y, {**others(y), name: p + 0.01 * np.sin(np.arange(120))}, 1)), name
    assert skill_shown(compare_baselines(p, y, {**others(y), "boosting@baseline": p}, 1))


def test_skill_is_not_shown_on_a_degenerate_holdout() -> None:
    y = np.concatenate([np.zeros(300), np.ones(5)])
    assert not skill_shown(compare_baselines(y, y, others(y), 1))


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
