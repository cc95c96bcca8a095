# ruff: noqa: N806
"""Every family fits rows with gaps, answers with finite margins, and restores equal models."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.errors import CorruptData, NotBuilt
from ratchet.names import TRAINABLE
from services.trainer.models.families import FAMILIES, family
from services.trainer.models.port import MAX_MARGIN, MAX_STEP, logit, sigmoid


def sample(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, 5))
    y = (generator.random(n) < sigmoid(2.0 * X[:, 0])).astype(np.float64)
    X[generator.random(X.shape) < 0.05] = np.nan
    X[:, 4] = np.nan
    return X, y


@pytest.mark.parametrize("name", FAMILIES)
class TestFamily:
    def test_it_learns_what_is_there(self, name: str) -> None:
        X, y = sample()
        kind = family(name)
        margin = kind.fit(X[:300], y[:300], kind.params(1), 1).margin(X[300:])
        assert np.mean((margin > 0) == (y[300:] == 1)) > 0.7

    def test_the_same_seed_gives_the_same_margins(self, name: str) -> None:
        X, y = sample()
        kind = family(name)
        first, second = (kind.fit(X, y, kind.params(2), 3).margin(X) for _ in range(2))
        assert first.tobytes() == second.tobytes()

    def test_margins_are_finite_and_clipped(self, name: str) -> None:
        X, y = sample()
        kind = family(name)
        fitted = kind.fit(X, y, kind.params(1), 1)
        for rows in (X, X * 1e12, np.full((3, 5), np.nan)):
            margin = fitted.margin(rows)
            assert np.isfinite(margin).all()
            assert np.abs(margin).max() <= MAX_MARGIN + 1e-9
        assert fitted.margin(X[:0]).shape == (0,)

    @pytest.mark.parametrize(("label", "sign"), [(1.0, 1), (0.0, -1)])
    def test_one_class_gives_a_constant(self, name: str, label: float, sign: int) -> None:
        X, _ = sample(50)
        kind = family(name)
        margin = kind.fit(X, np.full(50, label), kind.params(1), 1).margin(X)
        assert (np.sign(margin) == sign).all()
        assert sigmoid(margin)[0] == pytest.approx(51 / 52 if label else 1 / 52)

    def test_weights_count_rows(self, name: str) -> None:
        X, y = sample()
        kind = family(name)
        heavy = kind.fit(X, y, kind.params(1), 1, weight=np.where(y == 1, 5.0, 1.0))
        assert heavy.margin(X).mean() > kind.fit(X, y, kind.params(1), 1).margin(X).mean() + 0.5

    def test_a_restored_model_answers_alike(self, name: str) -> None:
        X, y = sample()
        kind = family(name)
        for outcomes in (y, np.ones(len(y))):
            fitted = kind.fit(X, outcomes, kind.params(1), 1)
            assert kind.restore(fitted.state()).margin(X).tobytes() == fitted.margin(X).tobytes()

    def test_a_state_of_something_else_is_refused(self, name: str) -> None:
        with pytest.raises(CorruptData):
            family(name).restore({"pipeline": "no", "width": 5})


def test_the_state_of_one_family_is_not_that_of_another() -> None:
    X, y = sample()
    state = FAMILIES["logistic"].fit(X, y, FAMILIES["logistic"].params(1), 1).state()
    with pytest.raises(CorruptData, match="RandomForestClassifier"):
        FAMILIES["random-forest"].restore(state)


def test_forests_grow_by_the_schedule() -> None:
    steps = [FAMILIES["random-forest"].params(step) for step in range(1, MAX_STEP + 3)]
    assert [(step["trees"], step["depth"]) for step in steps[:3]] == [(50, 10), (80, 12), (110, 14)]
    assert steps[MAX_STEP - 1] == steps[-1]
    assert steps[MAX_STEP - 2] != steps[-1]


def test_an_unknown_family_names_those_that_there_are() -> None:
    with pytest.raises(NotBuilt, match="lstm can't be trained yet; choose one of random-forest, logistic"):
        family("lstm")


def test_logit_and_sigmoid_are_inverse_within_the_limits() -> None:
    p = np.array([0.01, 0.3, 0.5, 0.99])
    assert sigmoid(logit(p)) == pytest.approx(p)
    assert logit(np.array([0.0, 1.0])) == pytest.approx([-MAX_MARGIN, MAX_MARGIN])


def test_the_types_that_are_advised_are_those_that_can_be_trained() -> None:
    assert set(TRAINABLE) == set(FAMILIES)
