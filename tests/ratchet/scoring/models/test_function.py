# ruff: noqa: N803, N806
"""A chain of links: each reads its own columns, and a longer chain never changes a shorter one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest

from ratchet.errors import InvalidInput
from ratchet.scoring.models.constant import Constant
from ratchet.scoring.models.families import FAMILIES
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Floats, Rows, Sample, sigmoid

ALL = np.arange(200, dtype=np.int64)


def fitted(columns: int, seed: int) -> tuple[np.ndarray, Function]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(200, 4))
    y = (X[:, 0] > generator.normal(size=200)).astype(np.float64)
    family = FAMILIES["random-forest"]
    part = family.fit(Sample(X[:, :columns], y, ALL), family.params(1), seed)
    return X, Function(tuple("abcd"[:columns]), (Link(tuple(range(columns)), part, 0.0, 0.8, 0.1),))


def test_the_chain_is_the_sum_that_it_is_written_as() -> None:
    X, parent = fitted(2, 1)
    part = Constant(0.5, {})
    child = parent.extended(("a", "b", "c", "d"), Link((0, 3), part, 0.9, 0.4, -0.2))
    assert child.margin(X, ALL) == pytest.approx(0.9 * parent.margin(X, ALL) + 0.4 * 0.5 - 0.2)
    assert child.probability(X, ALL) == pytest.approx(sigmoid(child.margin(X, ALL)))


def test_a_parent_in_a_chain_reads_only_its_own_columns() -> None:
    X, parent = fitted(2, 1)
    child = parent.extended(("a", "b", "c", "d"), Link((), None, 1.0, 0.0, 0.0))
    other = X.copy()
    other[:, 2:] = 99.0
    assert child.margin(other, ALL).tobytes() == child.margin(X, ALL).tobytes() == parent.margin(X, ALL).tobytes()


def test_columns_are_only_appended() -> None:
    _, parent = fitted(2, 1)
    with pytest.raises(InvalidInput, match="appended"):
        parent.extended(("b", "a", "c"), Link((), None, 1.0, 0.0, 0.0))


def test_too_few_columns_are_refused() -> None:
    X, function = fitted(3, 1)
    with pytest.raises(InvalidInput, match="3 columns"):
        function.margin(X[:, :2], ALL)


class Echo:
    """A part that answers with its second column."""

    params: ClassVar[Mapping[str, float]] = {}

    def margin(self, X: Floats, rows: Rows) -> Floats:
        assert X.shape == (200, 2)
        return X[rows, 1]

    def state(self) -> dict[str, object]:
        return {}


def test_a_link_reads_its_columns_in_its_own_order_and_answers_for_the_rows_asked_for() -> None:
    X = np.random.default_rng(1).normal(size=(200, 4))
    function = Function(tuple("abcd"), (Link((3, 1), Echo(), 0.0, 2.0, 0.0),))
    chosen = np.array([7, 3, 190], dtype=np.int64)
    assert function.margin(X, chosen) == pytest.approx(2.0 * X[chosen, 1])
    assert function.margin(X, chosen[:0]).shape == (0,)


def test_the_newest_link_is_the_last_that_was_fitted() -> None:
    _, parent = fitted(2, 1)
    recalibrated = parent.extended(("a", "b"), Link((), None, 0.9, 0.0, 0.1))
    assert recalibrated.newest is parent.links[0]
    assert Function(("a",), ()).newest is None
