"""Validation of the bytes of an XGBoost model before XGBoost reads them.

Its loader crashes or hangs on one in eight flipped bits, so that a model is accepted only if everything except its
trees equals the output of this code, and every tree refers only to its own nodes and columns.
"""

from __future__ import annotations

import numpy as np

from ratchet.errors import CorruptData
from ratchet.scoring.models import ubjson
from ratchet.scoring.models.ubjson import Array, Node

_NO_PARENT = np.iinfo(np.int32).max
_NONE_32 = np.empty(0, np.int32)
_NONE_64 = np.empty(0, np.int64)
_PER_NODE = {
    "base_weights": np.float32,
    "default_left": np.uint8,
    "left_children": np.int32,
    "loss_changes": np.float32,
    "parents": np.int32,
    "right_children": np.int32,
    "split_conditions": np.float32,
    "split_indices": np.int32,
    "split_type": np.uint8,
    "sum_hessian": np.float32,
}


def check_booster(content: bytes, width: int) -> None:
    """CorruptData unless these are the UBJSON bytes of a binary tree model over `width` columns with base score .5."""
    document = ubjson.read(content)
    trees, version = _at(document, "learner", "gradient_booster", "model", "trees"), _at(document, "version")
    if not isinstance(trees, list) or not isinstance(version, list):
        raise _corrupt("its trees or its version are no list")
    if not _equal(document, _expected_document(trees, version, width)):
        raise _corrupt(f"it is no binary classifier over {width} columns as Ratchet writes them")
    for number, tree in enumerate(trees):
        _check_tree(number, tree, width)


def _expected_document(trees: list[Node], version: list[Node], width: int) -> Node:
    """The document of a model with these trees, as written by XGBoost 3."""
    count = len(trees)
    model: Node = {
        "cats": {"enc": [], "feature_segments": _NONE_32, "sorted_idx": _NONE_32},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(count)},
        "iteration_indptr": [*range(count + 1)],
        "tree_info": [0] * count,
        "trees": trees,
    }
    learner: Node = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": {
            "base_score": "[5E-1]",
            "boost_from_average": "0",
            "num_class": "0",
            "num_feature": str(width),
            "num_target": "1",
        },
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return {"learner": learner, "version": version}


def _check_tree(number: int, tree: Node, width: int) -> None:
    if not isinstance(tree, dict):
        raise _corrupt(f"tree {number} is none")
    per_node = {name: _column(tree, name) for name in _PER_NODE}
    size = len(per_node["parents"])
    rest: dict[str, Node] = {
        "categories": _NONE_32,
        "categories_nodes": _NONE_32,
        "categories_segments": _NONE_64,
        "categories_sizes": _NONE_64,
        "id": number,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(width),
            "num_nodes": str(size),
            "size_leaf_vector": "1",
        },
    }
    if size == 0 or any(len(values) != size for values in per_node.values()) or not _equal(tree, {**per_node, **rest}):
        raise _corrupt(f"tree {number} is not made as XGBoost makes trees")
    _check_nodes(number, per_node, size, width)


def _check_nodes(number: int, per_node: dict[str, Array], size: int, width: int) -> None:
    left, right, parents = (per_node[name] for name in ("left_children", "right_children", "parents"))
    inner = np.flatnonzero(left != -1)
    children = np.concatenate([left[inner], right[inner]])
    leaves_end = bool(np.all(right[left == -1] == -1))
    inside = bool(np.all(children > np.tile(inner, 2)) and np.all(children < size))
    if not leaves_end or not inside or size != 2 * len(inner) + 1:
        raise _corrupt(f"tree {number} points outside of itself")
    if parents[0] != _NO_PARENT or not np.array_equal(parents[children], np.tile(inner, 2)):
        raise _corrupt(f"tree {number} has a node with another parent")
    columns = per_node["split_indices"]
    if not bool(np.all((columns >= 0) & (columns < width))):
        raise _corrupt(f"tree {number} reads beyond {width} columns")
    flags = bool(np.all(per_node["default_left"] <= 1) and not np.any(per_node["split_type"]))
    numbers = [values for values in per_node.values() if values.dtype == np.float32]
    if not flags or not all(bool(np.all(np.isfinite(values))) for values in numbers):
        raise _corrupt(f"tree {number} holds a split that is none")


def _column(tree: dict[str, Node], name: str) -> Array:
    values = tree.get(name)
    if not isinstance(values, np.ndarray) or values.dtype != _PER_NODE[name]:
        raise _corrupt(f"{name} of a tree is no array of its type")
    return values


def _at(node: Node, *path: str) -> Node:
    for name in path:
        if not isinstance(node, dict) or name not in node:
            raise _corrupt(f"it has no {name}")
        node = node[name]
    return node


def _equal(found: Node, expected: Node) -> bool:
    """Equal in every name, type and value."""
    if found is expected:
        return True
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_equal(found[name], expected[name]) for name in expected)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_equal, found, expected))
    if isinstance(found, np.ndarray) and isinstance(expected, np.ndarray):
        return found.dtype == expected.dtype and np.array_equal(found, expected)
    return type(found) is type(expected) and bool(found == expected)


def _corrupt(why: str) -> CorruptData:
    return CorruptData(f"these bytes are not an XGBoost model of Ratchet: {why}; fetch the artifact again")
