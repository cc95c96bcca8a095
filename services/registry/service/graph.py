"""What a model, dataset or pattern came from, and what came of it: breadth first, without a limit of depth."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from ratchet.errors import InvalidInput, NotFound
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.log import Log

Kind = Literal["model", "dataset", "pattern"]
Relation = Literal["trained on", "learned from", "uses pattern", "cut from", "found in"]

SHORTEST_PREFIX = 6


@dataclass(frozen=True, order=True)
class Node:
    kind: Kind
    id: str


@dataclass(frozen=True)
class Link:
    """`later` came from `earlier`: a model was `trained on` a dataset, `learned from` its parent, …"""

    earlier: Node
    later: Node
    relation: Relation


def trace(log: Log, subject: str, direction: pb.LineageDirection.ValueType, depth: int) -> pb.GetLineageResponse:
    """The graph around `subject`, up to `depth` hops away (0: all). Edges go from the earlier to the later thing.

    NotFound for a subject that is no model, dataset (or beginning of a digest) or pattern; InvalidInput without a
    direction.
    """
    if direction == pb.LINEAGE_DIRECTION_UNSPECIFIED or depth < 0:
        raise InvalidInput(
            "name a direction, ancestors or descendants, and a depth of 0 or more",
            fields={"direction": "missing"} if depth >= 0 else {"depth": "below 0"},
        )
    start = _resolve(log, subject)
    back = direction == pb.LINEAGE_DIRECTION_ANCESTORS
    depths = {start: 0}
    links: dict[Link, None] = {}
    frontier = [start]
    while frontier and (depth == 0 or depths[frontier[0]] < depth):
        found: list[Node] = []
        for node in frontier:
            for link in _links(log, node, back):
                links[link] = None
                reached = link.earlier if back else link.later
                if reached not in depths:
                    depths[reached] = depths[node] + 1
                    found.append(reached)
        frontier = found
    return pb.GetLineageResponse(
        nodes=[_node(log, node, hops) for node, hops in depths.items()],
        edges=[pb.LineageEdge(source=k.earlier.id, target=k.later.id, relation=k.relation) for k in links],
    )


def _links(log: Log, node: Node, back: bool) -> Iterator[Link]:
    for earlier_kind, later_kind, relation, sql_back, sql_forth in _RELATIONS:
        if node.kind == (later_kind if back else earlier_kind):
            for row in log.query(sql_back if back else sql_forth, (node.id,)):
                if back:
                    yield Link(Node(earlier_kind, row["id"]), node, relation)
                else:
                    yield Link(node, Node(later_kind, row["id"]), relation)


_RELATIONS: tuple[tuple[Kind, Kind, Relation, str, str], ...] = (
    (
        "dataset",
        "model",
        "trained on",
        "SELECT dataset_digest AS id FROM model_registry WHERE model = ?",
        "SELECT model AS id FROM model_registry WHERE dataset_digest = ? ORDER BY position",
    ),
    (
        "model",
        "model",
        "learned from",
        "SELECT parent AS id FROM model_registry WHERE model = ? AND parent <> ''",
        "SELECT model AS id FROM model_registry WHERE parent = ? ORDER BY position",
    ),
    (
        "pattern",
        "model",
        "uses pattern",
        "SELECT pattern_id AS id FROM pattern_use WHERE model = ? ORDER BY pattern_id",
        "SELECT model AS id FROM pattern_use WHERE pattern_id = ? ORDER BY model",
    ),
    (
        "dataset",
        "dataset",
        "cut from",
        "SELECT cut_from AS id FROM dataset_history WHERE digest = ? AND cut_from <> ''",
        "SELECT digest AS id FROM dataset_history WHERE cut_from = ? ORDER BY position",
    ),
    (
        "dataset",
        "pattern",
        "found in",
        "SELECT dataset_digest AS id FROM knowledge_base JOIN training_history ON session_id = found_by_session"
        " WHERE pattern_id = ?",
        "SELECT pattern_id AS id FROM training_history JOIN knowledge_base ON session_id = found_by_session"
        " WHERE dataset_digest = ? ORDER BY pattern_id",
    ),
)


def _resolve(log: Log, subject: str) -> Node:
    for kind, table, column in _SUBJECTS:
        if log.query(f"SELECT {column} FROM {table} WHERE {column} = ?", (subject,)):
            return Node(kind, subject)
    if len(subject) >= SHORTEST_PREFIX:
        begin = [
            Node(kind, row["id"])
            for kind, table, column in _SUBJECTS[1:]
            for row in log.query(
                f"SELECT {column} AS id FROM {table} WHERE substr({column}, 1, ?) = ? LIMIT 2", (len(subject), subject)
            )
        ]
        if len(begin) == 1:
            return begin[0]
    models = [row["model"] for row in log.query("SELECT model FROM model_registry")]
    near = difflib.get_close_matches(subject, models, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see ratchet models list"
    raise NotFound(f"{subject!r} is no model, dataset digest or pattern id; {hint}", fields={"subject": "unknown"})


_SUBJECTS: tuple[tuple[Kind, str, str], ...] = (
    ("model", "model_registry", "model"),
    ("dataset", "dataset_history", "digest"),
    ("pattern", "knowledge_base", "pattern_id"),
)


def _node(log: Log, node: Node, hops: int) -> pb.LineageNode:
    label, live = _DESCRIBE[node.kind](log, node.id)
    return pb.LineageNode(kind=node.kind, id=node.id, label=label, depth=hops, live=live)


def _model(log: Log, model: str) -> tuple[str, bool]:
    rows = log.query("SELECT is_lineage_champion, is_symbol_best FROM model_registry WHERE model = ?", (model,))
    return model, any(row["is_lineage_champion"] or row["is_symbol_best"] for row in rows)


def _dataset(log: Log, digest: str) -> tuple[str, bool]:
    for row in log.query("SELECT series, bars, last_bar, is_latest FROM dataset_history WHERE digest = ?", (digest,)):
        through = f" to {row['last_bar'][:10]}" if row["last_bar"] else ""
        return f"{row['series']}, {row['bars']} bars{through}", bool(row["is_latest"])
    return digest, False


def _pattern(log: Log, pattern_id: str) -> tuple[str, bool]:
    for row in log.query("SELECT rule, state FROM knowledge_base WHERE pattern_id = ?", (pattern_id,)):
        return row["rule"], row["state"] in ("KEPT", "CONFIRMED")
    return pattern_id, False


_DESCRIBE: dict[Kind, Callable[[Log, str], tuple[str, bool]]] = {
    "model": _model,
    "dataset": _dataset,
    "pattern": _pattern,
}
