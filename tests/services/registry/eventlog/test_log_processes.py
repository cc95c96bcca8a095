"""Several processes over one log: no fork, no gap, nothing lost, nothing that one remembers wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratchet.errors import Conflict
from ratchet.transparency import checkpoints, merkle
from ratchet.transparency.keys import create_private, public_bytes
from services.registry.eventlog import Filter, RebuildResult, RecordedEvent, Statement, Table, open_log, subscription
from services.registry.eventlog.commit import leaf
from services.registry.eventlog.database import Database
from tests.support.log_samples import STREAMS, append, assert_sound, everything, fact, make_log

ROOT = Path(__file__).parents[4]
ROUNDS = 25


def told_by(racers: list[subprocess.Popen[str]]) -> list[str]:
    return [racer.stdout.readline() for racer in racers if racer.stdout]


def test_six_writers_in_two_processes_and_a_reader_in_each(log_url: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    public = public_bytes(create_private(key))
    open_log(log_url, [STREAMS], lambda: datetime.now(UTC)).close()
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.log_racer", log_url, str(key), name, str(ROUNDS)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    assert told_by(racers) == ["ready\n"] * 2
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert told_by(racers) == ["written\n"] * 2
    log = open_log(log_url, [STREAMS], lambda: datetime.now(UTC))
    last = log.head().position
    told = [json.loads(racer.communicate(f"{last}\n", timeout=60)[0]) for racer in racers]

    stored = assert_sound(log)
    in_order = [[each.position, each.stream, each.version] for each in stored]
    for one in told:
        assert len(one["seen"]) >= last
        assert one["seen"] == in_order[: len(one["seen"])]
    acknowledged = told[0]["acknowledged"] | told[1]["acknowledged"]
    by_request = Counter(each.envelope.request_id for each in stored)
    for request, positions in acknowledged.items():
        assert by_request[request] == len(positions)
        assert [stored[position - 1].envelope.request_id for position in positions] == [request] * len(positions)
    assert len(acknowledged) == 6 * 2 * ROUNDS
    assert [each.version for each in stored if each.stream == "all"] == list(range(1, 6 * ROUNDS + 1))
    tree, roots = merkle.Frontier(), {}
    for each in stored:
        tree.append(leaf(each))
        roots[tree.size] = tree.root()
    signed = [checkpoints.Checkpoint.parse(note) for note in log.notes(1, len(stored))]
    assert [each.root for each in signed] == [roots[each.size] for each in signed]
    assert all(checkpoints.verify(each, public) for each in signed)
    assert signed[-1].size == len(stored)
    assert all(table.identical for table in log.rebuild())
    log.close()


def test_a_commit_wakes_the_followers_of_other_processes(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "POLL_SECONDS", 3600.0)
    here, elsewhere = (open_log(postgres_url, [STREAMS], lambda: datetime.now(UTC)) for _ in range(2))
    with ThreadPoolExecutor(1) as pool:
        for number in range(1, 6):
            waiting = pool.submit(next, here.follow(number - 1, Filter()))
            elsewhere.commit(append(f"r{number}", fact("session/1", number)))
            assert [each.version for each in waiting.result(30)[0]] == [number]
    for log in (here, elsewhere):
        log.close()


def test_a_rebuild_in_one_process_keeps_others_from_rebuilding(open_database: Callable[[], Database]) -> None:
    filled, inside, go_on = threading.Event(), threading.Event(), threading.Event()

    def slow(recorded: RecordedEvent) -> Iterable[Statement]:
        if filled.is_set():
            inside.set()
            assert go_on.wait(30)
        yield Statement("INSERT INTO {slow} (position) VALUES (?)", (recorded.position,))

    table = Table("slow", "CREATE TABLE {slow} (position BIGINT)", (), slow)
    here, elsewhere = make_log(open_database(), [table]), make_log(open_database(), [table])
    here.commit(append("r1", fact("session/1", 1)))
    filled.set()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(here.rebuild)
        try:
            assert inside.wait(30)
            with pytest.raises(Conflict, match="rebuilt already"):
                elsewhere.rebuild()
        finally:
            go_on.set()
        assert running.result(30) == [RebuildResult("slow", 1, True)]
    assert elsewhere.rebuild() == [RebuildResult("slow", 1, True)]


def test_processes_that_start_with_a_new_table_build_it_once_and_right(open_database: Callable[[], Database]) -> None:
    log = make_log(open_database())
    for start in range(0, 1500, 100):
        log.commit(append(f"r{start}", *[fact("session/1", start + each + 1) for each in range(100)]))
    counted = Table(
        "counted",
        "CREATE TABLE {counted} (position BIGINT)",
        (),
        lambda recorded: [Statement("INSERT INTO {counted} (position) VALUES (?)", (recorded.position,))],
    )
    databases = [open_database() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        logs = list(pool.map(lambda database: make_log(database, [STREAMS, counted]), databases))
    for log in logs:
        assert log.query("SELECT COUNT(*) AS n, COUNT(DISTINCT position) AS d FROM counted") == [{"n": 1500, "d": 1500}]


def test_what_one_process_remembers_of_the_end_gives_way_to_what_another_wrote(
    open_database: Callable[[], Database],
) -> None:
    """Each commits in turn, so that the end which it remembers is never the end."""
    logs = [make_log(open_database()) for _ in range(2)]
    for number in range(20):
        logs[number % 2].commit(append(f"r{number}", fact("session/1", number + 1)))
    assert [len(everything(log)) for log in logs] == [20, 20]
    assert_sound(logs[0])
