"""Validation of scikit-learn's trees before use: scikit-learn follows their nodes unchecked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ratchet.errors import CorruptData

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree


def restored_trees(state: Mapping[str, object], width: int, values: int) -> tuple[Tree, ...]:
    """The trees in a state, one or more, on `width` columns; CorruptData for malformed ones."""
    from sklearn.tree._tree import Tree

    trees = state.get("trees")
    if not isinstance(trees, list) or not trees or not all(isinstance(tree, Tree) for tree in trees):
        raise CorruptData("the model's state is neither a constant nor trees; fetch the artifact again")
    if any(tree.n_features != width for tree in trees):
        raise CorruptData("the model's trees and medians differ in their columns; fetch the artifact again")
    check_trees(trees, width, values)
    return tuple(trees)


def check_trees(trees: Iterable[Tree], width: int, values: int) -> None:
    """CorruptData for a tree that reads beyond `width` columns, points outside of itself or answers no number.

    `values`: numbers per node, 2 for the shares of two classes, 1 for a regression.
    """
    for tree in trees:
        nodes = np.arange(tree.node_count)
        left, right, feature = tree.children_left, tree.children_right, tree.feature
        leaf = left == -1
        inside = (left > nodes) & (right > nodes) & (left < tree.node_count) & (right < tree.node_count)
        split_on = (feature >= 0) & (feature < min(width, tree.n_features))
        if tree.node_count == 0 or not bool(np.all(leaf | (inside & split_on))):
            raise CorruptData("a tree of the model points outside of itself; fetch the artifact again")
        if tree.value.shape[1:] != (1, values) or not bool(np.all(np.isfinite(tree.value))):
            raise CorruptData("a tree of the model holds other values than its type has; fetch the artifact again")
