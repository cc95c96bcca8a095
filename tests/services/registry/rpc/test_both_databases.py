"""The registry says the same whichever database its log lies in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.message import Message

from ratchet.errors import RatchetError
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.registry.v1 import registry_pb2 as pb
from ratchet.transparency.export import checkpoint_line, event_line
from ratchet.transparency.keys import TrustedKey
from services.platform.artifacts import open_store
from services.platform.settings import Settings
from services.registry.audit import import_export
from services.registry.bootstrap import open_signed_log
from services.registry.eventlog import Log, LogApplication, Query, open_log
from services.registry.projections import TABLES
from tests.support.audited_log import Auditee, write_history
from tests.support.registry_model import BEGUN, CALLER, LINEAGES, World

FOREST, LOGISTIC, WEEKLY, HOURLY = LINEAGES
HISTORY: tuple[tuple[object, ...], ...] = (
    *BEGUN,
    ("import", "AAPL", 2, False),
    ("import", "AAPL", 3, True),
    ("train", HOURLY, 0.1, 40),
    ("train", FOREST, 0.1, 150),
    ("pattern", 1),
    ("pattern", 2),
    ("rank", FOREST, 3),
    ("fail", LOGISTIC),
    ("cancel", FOREST),
    ("leave", WEEKLY),
    ("promote", FOREST, 1),
    *((("pattern", 1),) * 4),
    ("train", LOGISTIC, 0.1, 150),
    ("rollback", FOREST),
    ("train", FOREST, -0.1, 30),
)


def played(url: str) -> World:
    """The same history with the same clock and ids: the same events."""
    seconds, ids = itertools.count(1), itertools.count(1)
    log = open_log(
        url,
        TABLES,
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds)),
        new_id=lambda: f"event-{next(ids)}",
    )
    world = World(log, LogApplication(log))
    for kind, *details in HISTORY:
        world.do(str(kind), *details)
    return world


@pytest.fixture(scope="module")
def urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return f"sqlite://{tmp_path_factory.mktemp('log')}/log.sqlite", request.getfixturevalue("postgres").fresh()


@pytest.fixture(scope="module")
def worlds(urls: tuple[str, str]) -> Iterator[tuple[World, World]]:
    one, other = played(urls[0]), played(urls[1])
    yield one, other
    one.log.close()
    other.log.close()


def rows(log: Log, table: str) -> list[tuple[object, ...]]:
    """In an order that no database decides."""
    found = (
        tuple((type(value).__name__, value) for value in row.values()) for row in log.query(f"SELECT * FROM {table}")
    )
    return sorted(found, key=repr)


def test_the_same_facts_give_the_same_tree_and_the_same_rows(worlds: tuple[World, World]) -> None:
    one, other = (world.log for world in worlds)
    assert one.head() == other.head()
    for table in TABLES:
        assert rows(one, table.name) == rows(other, table.name) != []
    for name in ("stored_events", "requests", "merkle_nodes", "read_tables"):
        assert rows(one, name) == rows(other, name)


def requests(end: int) -> Iterator[Message]:
    """Every read of the registry, now and at points of the past."""
    asked: list[Message] = [
        pb.ListDatasetsRequest(include_cuts=True),
        pb.ListDatasetsRequest(series="AAPL", latest_only=True),
        pb.GetDatasetRequest(digest="d1"),
        pb.ListTrainingsRequest(),
        pb.ListTrainingsRequest(series="AAPL", state=pb.TRAINING_STATE_OPEN),
        pb.ListTrainingsRequest(lineage=FOREST, state=pb.TRAINING_STATE_COMPLETED),
        pb.ListModelsRequest(),
        pb.ListModelsRequest(series="AAPL", task="range"),
        pb.ListDecisionsRequest(),
        pb.ListDecisionsRequest(lineage=FOREST, include_evidence_bytes=True),
        pb.GetSymbolBestRequest(series="AAPL", task="range"),
        *(pb.GetChampionRequest(lineage=lineage) for lineage in LINEAGES),
        *(pb.GetModelRequest(model=f"{FOREST}/v{version}") for version in (1, 3, 4, 99)),
        *(
            pb.GetLineageRequest(subject=subject, direction=direction)
            for subject in (f"{FOREST}/v2", f"{LOGISTIC}/v1", "d0", "d3", "p1", "nothing")
            for direction in (pb.LINEAGE_DIRECTION_ANCESTORS, pb.LINEAGE_DIRECTION_DESCENDANTS)
        ),
    ]
    yield pb.CompareModelsRequest(model=f"{FOREST}/v1", other=f"{FOREST}/v2")
    yield pb.ListModelsRequest(page_size=2)
    for request in asked:
        yield request
        for position in (end // 3, end // 2, end - 2):
            then = type(request)()
            then.CopyFrom(request)
            then.as_of.CopyFrom(eventlog_pb2.AsOf(position=position))  # type: ignore[attr-defined]
            yield then


def answer(world: World, request: Message) -> Message | str:
    name = request.DESCRIPTOR.name.removesuffix("Request")
    method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
    try:
        found: Message = getattr(world.queries, method)(request)
    except RatchetError as error:
        return f"{type(error).__name__}: {error.message}"
    return found


def test_every_question_gets_the_same_answer(worlds: tuple[World, World]) -> None:
    told = 0
    for request in requests(worlds[0].log.head().position):
        one, other = (answer(world, request) for world in worlds)
        assert one == other, request
        told += not isinstance(one, str)
    assert told > 80


def test_decisions_after_the_fact_are_the_same(worlds: tuple[World, World]) -> None:
    """The tables of both are what the log says, and further facts keep them equal."""
    for world in worlds:
        world.do("train", FOREST, 0.1, 150)
        world.do("promote", LOGISTIC, 1)
        assert all(table.identical for table in world.log.rebuild())
    test_the_same_facts_give_the_same_tree_and_the_same_rows(worlds)


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0)], ids=["to postgresql", "to sqlite"])
def test_an_exported_log_moves_to_the_other_database_with_its_root_and_its_tables(
    tmp_path: Path, postgres_url: str, source: int, target: int
) -> None:
    urls = f"sqlite://{tmp_path}/log.sqlite", postgres_url
    settings = [Settings.load("registry", tmp_path / str(n), "127.0.0.1", 0, {"RATCHET_LOG": urls[n]}) for n in (0, 1)]
    for each in settings:
        each.home.mkdir()
    log = open_signed_log(settings[source])
    write_history(Auditee(log, open_store(settings[source].artifacts)))
    checkpoint = log.checkpoint()
    assert checkpoint is not None
    events = [each for batch in log.read(Query()) for each in batch]
    lines = [event_line(each.position, each.stream, each.version, each.topic, each.state) for each in events]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines, checkpoint_line(checkpoint.note)]) + "\n", encoding="utf-8")

    report = import_export(settings[target], tmp_path / "log.jsonl", [TrustedKey(log.keys()[0].public_key)])

    assert report.root == checkpoint.root
    moved = open_log(urls[target], TABLES, clock=lambda: datetime.now(UTC))
    assert moved.head() == log.head()
    for table in TABLES:
        assert rows(moved, table.name) == rows(log, table.name)
    for each in (log, moved):
        each.close()


def test_a_text_that_one_database_could_not_hold_reads_the_same_in_both(tmp_path: Path, postgres_url: str) -> None:
    """A NUL in a reason: PostgreSQL has no such text."""
    found = []
    for url in (f"sqlite://{tmp_path}/log.sqlite", postgres_url):
        log = open_log(url, TABLES, clock=lambda: datetime.now(UTC))
        world = World(log, LogApplication(log))
        session = world._session(FOREST)
        request = pb.FailTrainingRequest(request_id="nul", session_id=session, reason="INTERNAL", message="a\0b")
        world.commands.fail_training(request, CALLER)
        found.append(world.queries.training(session).message)
        with pytest.raises(RatchetError):
            world.queries.get_lineage(pb.GetLineageRequest(subject="a\0b", direction=pb.LINEAGE_DIRECTION_ANCESTORS))
        log.close()
    assert found == ["a␀b"] * 2
