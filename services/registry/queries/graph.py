"""The lineage graph of a model, dataset or pattern: ancestors or descendants, now or as of a position, of any depth.

The surroundings of the subject are read first, with few queries at any depth: models reach their parents and children
through one recursive query. Distances are counted afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ratchet.errors import InvalidInput, NotFound
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import Log
from services.registry.queries.as_of import AsOf, position_of
from services.registry.queries.describe import describe
from services.registry.queries.lookup import chunks, near_names

Kind = Literal["model", "dataset", "pattern"]
Relation = Literal["trained on", "learned from", "uses pattern", "cut from", "found in"]

SHORTEST_PREFIX = 6
_MOST_PARAMETERS = 30_000


class Node(NamedTuple):
    kind: Kind
    id: str


class Link(NamedTuple):
    """`later` came from `earlier`: a model was `trained on` a dataset, `learned from` its parent, …"""

    earlier: Node
    later: Node
    relation: Relation


def trace(
    log: Log, subject: str, direction: pb.LineageDirection.ValueType, depth: int, as_of: AsOf | None = None
) -> pb.GetLineageResponse:
    """The graph around `subject`, up to `depth` hops away (0: all). Edges go from the earlier to the later node.

    NotFound for an unknown subject (model, dataset digest or its prefix, pattern); InvalidInput without a direction.
    """
    if direction == pb.LINEAGE_DIRECTION_UNSPECIFIED or depth < 0:
        raise InvalidInput(
            "name a direction, ancestors or descendants, and a depth of 0 or more",
            fields={"direction": "missing"} if depth >= 0 else {"depth": "below 0"},
        )
    position = position_of(as_of)
    start = _resolve(log, subject, position, as_of)
    back = direction == pb.LINEAGE_DIRECTION_ANCESTORS
    links = _reachable_links(log, start, back, position)
    depths, followed = {start: 0}, []
    frontier = [start]
    while frontier and (depth == 0 or depths[frontier[0]] < depth):
        found: list[Node] = []
        for node in frontier:
            for link in links[node]:
                followed.append(link)
                reached = link.earlier if back else link.later
                if reached not in depths:
                    depths[reached] = depths[node] + 1
                    found.append(reached)
        frontier = found
    descriptions = describe(log, {kind: [n.id for n in depths if n.kind == kind] for kind in _KINDS}, position)
    return pb.GetLineageResponse(
        nodes=[
            pb.LineageNode(kind=kind, id=name, depth=hops, label=label, live=live, reigns=reigns)
            for (kind, name), hops in depths.items()
            for label, live, reigns in (descriptions[kind, name],)
        ],
        edges=[
            pb.LineageEdge(source=link.earlier.id, target=link.later.id, relation=link.relation) for link in followed
        ],
    )


def _reachable_links(log: Log, start: Node, back: bool, position: int) -> defaultdict[Node, list[Link]]:
    """The outgoing links of each node reachable from `start`."""
    links: defaultdict[Node, list[Link]] = defaultdict(list)
    known, fresh = {start}, [start]
    linked: set[Node] = set()
    while fresh:
        found: dict[Node, None] = {}
        ids = {kind: [node.id for node in fresh if node.kind == kind] for kind in _KINDS}
        for link in _relatives(log, ids["model"], back, position):
            # A model has one parent, so that each link is known by its child.
            if link.later not in linked:
                linked.add(link.later)
                links[link.later if back else link.earlier].append(link)
                found[link.earlier if back else link.later] = None
        # The relatives of these models are complete; their other links are queried together.
        ids["model"] += [node.id for node in found if node not in known]
        known |= found.keys()
        reached: dict[Node, None] = {}
        for query in _QUERIES:
            near, far = (query.later, query.earlier) if back else (query.earlier, query.later)
            for one, other in _pairs(log, query.back if back else query.forth, ids[near], position):
                here, there = Node(near, one), Node(far, other)
                links[here].append(Link(there, here, query.relation) if back else Link(here, there, query.relation))
                reached[there] = None
        fresh = [node for node in reached if node not in known]
        known |= reached.keys()
    return links


def _relatives(log: Log, models: Collection[str], back: bool, position: int) -> Iterator[Link]:
    """Every `learned from` link among the ancestors, or the descendants, of some models."""
    for part in chunks(list(models), _MOST_PARAMETERS):
        marks = ", ".join("?" * len(part))
        sql = (_ANCESTORS if back else _DESCENDANTS).format(marks=marks)
        for row in log.query(sql, (*part, position) if back else (*part, position, position)):
            yield Link(Node("model", row["parent"]), Node("model", row["model"]), "learned from")


_ANCESTORS = """
WITH RECURSIVE kin (model, parent, position) AS (
    SELECT model, parent, position FROM model_registry WHERE model IN ({marks}) AND parent <> ''
    UNION
    SELECT m.model, m.parent, m.position FROM kin JOIN model_registry AS m ON m.model = kin.parent
    WHERE m.parent <> '' AND m.position <= ?
)
SELECT model, parent FROM kin ORDER BY position DESC
"""
_DESCENDANTS = """
WITH RECURSIVE kin (model, parent, position) AS (
    SELECT model, parent, position FROM model_registry WHERE parent IN ({marks}) AND position <= ?
    UNION
    SELECT m.model, m.parent, m.position FROM kin JOIN model_registry AS m ON m.parent = kin.model
    WHERE m.position <= ?
)
SELECT model, parent FROM kin ORDER BY position
"""


@dataclass(frozen=True)
class _Query:
    """A relation between two kinds, as SQL for pairs (near, far).

    `back` leads from the later node to the earlier one, `forth` from the earlier to the later.
    """

    earlier: Kind
    later: Kind
    relation: Relation
    back: str
    forth: str


_QUERIES = (
    _Query(
        "dataset",
        "model",
        "trained on",
        "SELECT model AS near, dataset_digest AS far FROM model_registry WHERE model IN ({marks}) AND position <= ?"
        " ORDER BY model",
        "SELECT dataset_digest AS near, model AS far FROM model_registry WHERE dataset_digest IN ({marks})"
        " AND position <= ? ORDER BY position",
    ),
    _Query(
        "pattern",
        "model",
        "uses pattern",
        "SELECT model AS near, pattern_id AS far FROM pattern_use WHERE model IN ({marks}) AND position <= ?"
        " ORDER BY model, pattern_id",
        "SELECT pattern_id AS near, model AS far FROM pattern_use WHERE pattern_id IN ({marks}) AND position <= ?"
        " ORDER BY position",
    ),
    _Query(
        "dataset",
        "dataset",
        "cut from",
        "SELECT DISTINCT digest AS near, cut_from AS far FROM dataset_history WHERE digest IN ({marks})"
        " AND is_cut = 1 AND position <= ? ORDER BY digest, cut_from",
        "SELECT DISTINCT cut_from AS near, digest AS far FROM dataset_history WHERE cut_from IN ({marks})"
        " AND is_cut = 1 AND position <= ? ORDER BY cut_from, digest",
    ),
    _Query(
        "dataset",
        "pattern",
        "found in",
        "SELECT pattern_id AS near, dataset_digest AS far FROM knowledge_base"
        " JOIN training_history ON session_id = found_by_session"
        " WHERE pattern_id IN ({marks}) AND found_position <= ? ORDER BY pattern_id",
        "SELECT dataset_digest AS near, pattern_id AS far FROM training_history"
        " JOIN knowledge_base ON found_by_session = session_id"
        " WHERE dataset_digest IN ({marks}) AND found_position <= ? ORDER BY pattern_id",
    ),
)
_KINDS: tuple[Kind, ...] = ("model", "dataset", "pattern")


def _pairs(log: Log, sql: str, ids: Collection[str], position: int) -> Iterator[tuple[str, str]]:
    for part in chunks(list(ids)):
        for row in log.query(sql.format(marks=", ".join("?" * len(part))), (*part, position)):
            yield row["near"], row["far"]


def _resolve(log: Log, subject: str, position: int, as_of: AsOf | None) -> Node:
    for kind, table, column, since in _SUBJECTS:
        sql = f"SELECT {column} FROM {table} WHERE {column} = ? AND {since} <= ?"
        if log.query(sql, (subject, position)):
            return Node(kind, subject)
    if len(subject) >= SHORTEST_PREFIX:
        begin = {
            Node(kind, row["id"])
            for kind, table, column, since in _SUBJECTS[1:]
            for row in log.query(
                f"SELECT DISTINCT {column} AS id FROM {table} WHERE {column} >= ? AND {column} < ? AND {since} <= ?"
                " LIMIT 2",
                (subject, subject + _AFTER_EVERY_LETTER, position),
            )
        }
        if len(begin) == 1:
            return begin.pop()
    if as_of:
        raise as_of.missing(f"model, dataset digest or pattern id {subject!r}")
    near = near_names(log, subject)
    hint = f"did you mean {' or '.join(near)}?" if near else "see ratchet models list"
    raise NotFound(f"{subject!r} is no model, dataset digest or pattern id; {hint}", fields={"subject": "unknown"})


_AFTER_EVERY_LETTER = "\U0010ffff"
_SUBJECTS: tuple[tuple[Kind, str, str, str], ...] = (
    ("model", "model_registry", "model", "position"),
    ("dataset", "dataset_history", "digest", "position"),
    ("pattern", "knowledge_base", "pattern_id", "first_position"),
)
