"""Only the registry tells the time: a clock of the trainer or of knowledge that steps changes nothing recorded."""

import ast
from collections.abc import Iterator
from pathlib import Path

import services

HERE = Path(services.__path__[0])
WALL_CLOCKS = {"time": {"time", "time_ns", "localtime", "gmtime"}, "datetime": {"now", "utcnow", "today"}}
OWNERS = {**WALL_CLOCKS, "date": {"today"}, "dt": WALL_CLOCKS["datetime"]}


def readings(folder: str) -> Iterator[str]:
    """The places under a folder that read a wall clock, as file:line."""
    for file in sorted((HERE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Attribute) and node.attr in set().union(*OWNERS.values())):
                continue
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in OWNERS.get(owner, ()):
                yield f"{file.relative_to(HERE)}:{node.lineno}"


def test_trainer_and_knowledge_read_no_wall_clock() -> None:
    assert [*readings("trainer"), *readings("knowledge")] == []


def test_the_registry_reads_it_where_it_is_wired_alone() -> None:
    assert {place.partition(":")[0] for place in readings("registry")} <= {"registry/bootstrap.py", "registry/audit.py"}
    assert list(readings("registry"))
