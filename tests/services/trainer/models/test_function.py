# ruff: noqa: N806
"""A chain of links: each reads its own first columns, and a longer chain never changes a shorter one."""

from __future__ import annotations

import numpy as np
import pytest

from ratchet.errors import InvalidInput
from services.trainer.models.estimator import Constant
from services.trainer.models.families import FAMILIES
from services.trainer.models.function import Function, Link
from services.trainer.models.port import sigmoid


def fitted(columns: int, seed: int) -> tuple[np.ndarray, Function]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(200, 4))
    y = (X[:, 0] > generator.normal(size=200)).astype(np.float64)
    family = FAMILIES["random-forest"]
    part = family.fit(X[:, :columns], y, family.params(1), seed)
    names = tuple("abcd"[:columns])
    return X, Function(names, (Link(columns, part, 0.0, 0.8, 0.1),))


def test_the_chain_is_the_sum_that_it_is_written_as() -> None:
    X, parent = fitted(2, 1)
    part = Constant(0.5)
    child = parent.extended(("a", "b", "c", "d"), Link(4, part, 0.9, 0.4, -0.2))
    assert child.margin(X) == pytest.approx(0.9 * parent.margin(X) + 0.4 * 0.5 - 0.2)
    assert child.probability(X) == pytest.approx(sigmoid(child.margin(X)))


def test_a_parent_in_a_chain_reads_only_its_own_columns() -> None:
    X, parent = fitted(2, 1)
    child = parent.extended(("a", "b", "c", "d"), Link(4, None, 1.0, 0.0, 0.0))
    other = X.copy()
    other[:, 2:] = 99.0
    assert child.margin(other).tobytes() == child.margin(X).tobytes() == parent.margin(X).tobytes()


def test_columns_are_only_appended() -> None:
    _, parent = fitted(2, 1)
    with pytest.raises(InvalidInput, match="appended"):
        parent.extended(("b", "a", "c"), Link(3, None, 1.0, 0.0, 0.0))


def test_too_few_columns_are_refused() -> None:
    X, function = fitted(3, 1)
    with pytest.raises(InvalidInput, match="3 columns"):
        function.margin(X[:, :2])
