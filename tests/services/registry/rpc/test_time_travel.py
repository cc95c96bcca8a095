"""The answer as of a position is the answer of then, whatever was recorded later."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.errors import InvalidInput, NotFound
from ratchet.eventlog.v1.eventlog_pb2 import AsOf
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import LogApplication, open_log
from services.registry.projections import TABLES
from services.registry.queries.queries import Queries
from tests.support.registry_model import BEGUN, LINEAGES, World, steps, world

BACK, FORTH = pb.LINEAGE_DIRECTION_ANCESTORS, pb.LINEAGE_DIRECTION_DESCENDANTS
FOREST, LOGISTIC = LINEAGES[0], LINEAGES[1]
START = datetime(2026, 1, 1, tzinfo=UTC)

QUESTIONS: tuple[tuple[str, Message], ...] = (
    *(("get_champion", pb.GetChampionRequest(lineage=lineage)) for lineage in LINEAGES),
    *(("get_model", pb.GetModelRequest(model=f"{FOREST}/v{version}")) for version in (1, 2, 3)),
    ("get_symbol_best", pb.GetSymbolBestRequest(series="AAPL", task="range")),
    ("get_symbol_best", pb.GetSymbolBestRequest(series="MSFT@1h", task="volume")),
    ("list_models", pb.ListModelsRequest()),
    ("list_models", pb.ListModelsRequest(series="AAPL", task="range")),
    ("list_models", pb.ListModelsRequest(lineage=LOGISTIC)),
    ("list_trainings", pb.ListTrainingsRequest()),
    *(("list_trainings", pb.ListTrainingsRequest(state=state)) for state in (1, 2, 3, 4)),
    ("list_datasets", pb.ListDatasetsRequest(include_cuts=True)),
    ("list_datasets", pb.ListDatasetsRequest()),
    ("list_datasets", pb.ListDatasetsRequest(latest_only=True)),
    *(("get_dataset", pb.GetDatasetRequest(digest=digest)) for digest in ("d0", "d1")),
    ("list_decisions", pb.ListDecisionsRequest(lineage=FOREST, include_evidence_bytes=True)),
    ("list_decisions", pb.ListDecisionsRequest(series="AAPL")),
    *(
        ("get_lineage", pb.GetLineageRequest(subject=subject, direction=direction))
        for subject in ("d0", "d1", "p1", f"{FOREST}/v1", f"{FOREST}/v3")
        for direction in (BACK, FORTH)
    ),
)


def answers(queries: Queries, as_of: AsOf | None = None) -> list[Message | str]:
    """The answer to every question; NOT_FOUND where there was none."""
    found: list[Message | str] = []
    for method, question in QUESTIONS:
        request = type(question)()
        request.CopyFrom(question)
        if as_of is not None:
            request.as_of.CopyFrom(as_of)  # type: ignore[attr-defined]
        ask: Callable[[Any], Message] = getattr(queries, method)
        try:
            found.append(ask(request))
        except NotFound:
            found.append("NOT_FOUND")
    return found


def play(played: World, history: list[tuple[object, ...]]) -> Iterator[int]:
    """The head after each step."""
    for kind, *details in (*BEGUN, *history):
        played.do(str(kind), *details)
        yield played.log.head().position


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(steps, min_size=3, max_size=12))
def test_whatever_happens_later_each_answer_stays_what_it_was_live(history: list[tuple[object, ...]]) -> None:
    with world() as played:
        live = {head: answers(played.queries) for head in play(played, history)}
        for head, then in live.items():
            for (method, question), was, now in zip(
                QUESTIONS, then, answers(played.queries, AsOf(position=head)), strict=True
            ):
                assert now == was, (method, question, head)


@contextmanager
def cut_after(log_file: Path, position: int) -> Iterator[Queries]:
    """A registry whose log ends at a position of another one; its read tables are built from that."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "log.sqlite"
        source, target = sqlite3.connect(log_file), sqlite3.connect(copy)
        source.backup(target)
        target.execute("DELETE FROM stored_events WHERE position > ?", (position,))
        target.execute("DELETE FROM merkle_nodes WHERE (idx + 1) * (1 << level) > ?", (position,))
        target.execute("DELETE FROM read_tables")
        target.commit()
        source.close()
        target.close()
        log = open_log(f"sqlite:///{copy}", TABLES, lambda: START)
        application = LogApplication(log)
        yield Queries(log)
        application.close()
        log.close()


def test_at_every_position_within_a_session_too_the_answer_is_that_of_a_log_that_ends_there() -> None:
    later = [
        ("import", "AAPL", 1, True),
        ("train", FOREST, 0.1, 60),
        ("pattern", 1),
        ("import", "AAPL", 1, False),
        ("promote", FOREST, 2),
        ("pattern", 1),
        ("fail", LOGISTIC),
        ("rollback", FOREST),
        ("pattern", 1),
    ]
    with world() as played:
        *_, head = play(played, later)
        with played.log.database.read() as reader:
            [row] = reader.rows("PRAGMA database_list")
        for position in range(1, head + 1):
            with cut_after(Path(row["file"]), position) as shorter:
                live = answers(shorter)
            for (method, question), was, now in zip(
                QUESTIONS, live, answers(played.queries, AsOf(position=position)), strict=True
            ):
                assert now == was, (method, question, position)


class TestWhichMoment:
    @pytest.fixture
    def played(self) -> Iterator[World]:
        """A second passes with each request."""
        seconds = itertools.count()
        with world(lambda: START + timedelta(seconds=next(seconds))) as played:
            for kind, *details in BEGUN:
                played.do(str(kind), *details)
            yield played

    def test_a_time_means_the_last_event_recorded_by_then(self, played: World) -> None:
        for batch in played.log.read():
            for event in batch:
                later = Timestamp()
                later.FromDatetime(event.recorded_at + timedelta(milliseconds=500))
                last = max(e.position for b in played.log.read() for e in b if e.recorded_at <= event.recorded_at)
                assert answers(played.queries, AsOf(time=later)) == answers(played.queries, AsOf(position=last))

    def test_before_the_first_event_nothing_is_known(self, played: World) -> None:
        before = Timestamp()
        before.FromDatetime(START - timedelta(days=1))
        asked = pb.GetChampionRequest(lineage=FOREST, as_of=AsOf(time=before))
        with pytest.raises(NotFound, match="nothing had been recorded as of 2025-12-31T00:00:00Z"):
            played.queries.get_champion(asked)
        assert not played.queries.list_models(pb.ListModelsRequest(as_of=AsOf(time=before))).models

    def test_a_position_beyond_the_head_is_refused_with_the_head(self, played: World) -> None:
        head = played.log.head().position
        for position in (head + 1, -1):
            with pytest.raises(InvalidInput, match=f"the log ends at {head}"):
                played.queries.list_trainings(pb.ListTrainingsRequest(as_of=AsOf(position=position)))

    def test_what_was_recorded_later_was_not_there(self, played: World) -> None:
        with pytest.raises(NotFound, match=f"there was no model {FOREST}/v2 as of log position 8"):
            played.queries.get_model(pb.GetModelRequest(model=f"{FOREST}/v2", as_of=AsOf(position=8)))
        with pytest.raises(NotFound, match="no model, dataset digest or pattern id"):
            played.queries.get_lineage(
                pb.GetLineageRequest(subject=f"{FOREST}/v2", direction=1, as_of=AsOf(position=8))
            )

    def test_all_pages_show_one_point_of_the_past(self, played: World) -> None:
        """The head is later than the time that was asked for, when the second page is read."""
        now = Timestamp()
        now.FromDatetime(START + timedelta(days=1))
        request = pb.ListTrainingsRequest(page_size=2, as_of=AsOf(time=now))
        first = played.queries.list_trainings(request)
        known = len(played.queries.list_trainings(pb.ListTrainingsRequest()).trainings)
        played.do("train", FOREST, 0.0, 60)
        request.page_token, request.page_size = first.next_page_token, 100
        assert len(first.trainings) + len(played.queries.list_trainings(request).trainings) == known
