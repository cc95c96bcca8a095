"""ratchet lineage: ancestors or descendants of a model, data set or pattern."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import islice

import click

from ratchet.cli.as_of import TimePoint, as_of_option, print_as_of
from ratchet.cli.connect import command_line, connect
from ratchet.cli.output import format_time, home_option, limit_option, lines, print_omitted, show
from ratchet.events.v1 import decision_pb2
from ratchet.registry.v1 import registry_pb2

INVERSE_RELATIONS = {
    "trained on": "trained",
    "learned from": "taught",
    "uses pattern": "used by",
    "cut from": "cut into",
    "found in": "showed",
}


@click.command()
@click.argument("subject")
@click.option("--depth", type=click.IntRange(0, 2**31 - 1), default=0, help="Hops  [default: all]")
@click.option("--descendants", is_flag=True, help="What came of it instead.")
@limit_option(200, "lines")
@click.option("-o", "--output", type=click.Choice(["table", "json", "dot"]), default="table", show_default=True)
@as_of_option
@home_option
def lineage(
    subject: str, depth: int, descendants: bool, limit: int, output: str, as_of: TimePoint, home: str | None
) -> None:
    """What SUBJECT (a model, a data set's digest or a pattern's id) came from."""
    with connect(home) as client:
        found = client.get_lineage(subject, descendants=descendants, depth=depth, as_of=as_of.point)
    print_as_of(as_of, "table" if output == "table" else "json")
    if output == "dot":
        lines(dot(found))
        return
    if output == "table" and descendants:
        lines(islice(summary(found), limit + 1 if limit else None))
        click.echo()
    show(found, output, lambda graph: lines(islice(tree(graph, descendants), limit or None)))
    if output == "table" and limit:
        chosen = [*(["--descendants"] if descendants else []), *(["--depth", str(depth)] if depth else [])]
        asked = command_line(home, "lineage", subject, *chosen, *as_of.arguments)
        print_omitted(len(found.nodes) - limit, "more are left out", asked)


def summary(graph: registry_pb2.GetLineageResponse) -> Iterator[str]:
    """Summary of the first node's descendants: number of models, of live ones, and the reigns of champions."""
    learned = [node for node in graph.nodes if node.kind == "model" and node.depth]
    live, reigned = sum(node.live for node in learned), [node for node in learned if node.reigns]
    models = "1 model" if len(learned) == 1 else f"{len(learned):,} models"
    told = f"{models} learned from it, {live:,} {'is' if live == 1 else 'are'} live, "
    yield told + f"{len(reigned):,} {'was' if len(reigned) == 1 else 'were'} champion{':' if reigned else ''}"
    for node in reigned:
        yield from (f"  {node.id}   {reign_text(reign)}" for reign in node.reigns)


def reign_text(reign: registry_pb2.Reign) -> str:
    """champion from 2026-03-03T16:00:00Z (position 12) to 2026-03-09T08:00:00Z (position 40)"""
    of = "best of its symbol" if reign.scope == decision_pb2.SCOPE_SYMBOL else "champion"
    began = f"{of} from {format_time(getattr(reign, 'from'))} (position {reign.from_position})"
    return (
        f"{began} to {format_time(reign.to)} (position {reign.to_position})" if reign.to_position else f"{began}, still"
    )


def tree(graph: registry_pb2.GetLineageResponse, descendants: bool = False) -> Iterator[str]:
    """Each node once, under its first parent, breadth first."""
    nodes = {node.id: node for node in graph.nodes}
    neighbours: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for edge in graph.edges:
        if descendants:
            neighbours[edge.source].append((edge.target, INVERSE_RELATIONS.get(edge.relation, edge.relation)))
        else:
            neighbours[edge.target].append((edge.source, edge.relation))
    shallowest = min((node.depth for node in graph.nodes), default=0)
    roots = [node.id for node in graph.nodes if node.depth == shallowest]
    children = _spanning(roots, neighbours)
    for root in roots:
        yield from _branch(root, "", 0, nodes, children)


def _spanning(roots: list[str], neighbours: dict[str, list[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """Breadth-first trees from the roots over the edges: node → (child, relation)."""
    children: dict[str, list[tuple[str, str]]] = defaultdict(list)
    seen, waiting = set(roots), deque(roots)
    while waiting:
        here = waiting.popleft()
        for other, relation in neighbours[here]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
                children[here].append((other, relation))
    return children


def _branch(
    start: str,
    relation: str,
    indent: int,
    nodes: dict[str, registry_pb2.LineageNode],
    children: dict[str, list[tuple[str, str]]],
) -> Iterator[str]:
    """Depth first with an explicit stack: a lineage may be thousands of versions long."""
    stack = [(start, relation, indent)]
    while stack:
        name, by, depth = stack.pop()
        node = nodes.get(name)
        if node is None:
            continue
        label = node.label if node.label and node.label != node.id else ""
        identity = node.id[:12] if node.kind == "dataset" else node.id
        live = "   ★" if node.live else ""
        yield f"{'  ' * depth}{f'{by}: ' if by else ''}{node.kind} {identity}{f'   {label}' if label else ''}{live}"
        stack.extend((child, how, depth + 1) for child, how in reversed(children[name]))


def dot(graph: registry_pb2.GetLineageResponse) -> Iterator[str]:
    """The graph for Graphviz."""
    shapes = {"model": "box", "dataset": "cylinder", "pattern": "ellipse"}
    yield "digraph lineage {"
    for node in graph.nodes:
        shape = shapes.get(node.kind, "box")
        style = ", style=bold" if node.live else ""
        yield f"  {_quoted(node.id)} [label={_quoted(node.label or node.id)}, shape={shape}{style}];"
    for edge in graph.edges:
        yield f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(edge.relation)}];"
    yield "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
