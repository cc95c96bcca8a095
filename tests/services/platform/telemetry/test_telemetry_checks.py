"""A service says that it is ready only while all that it needs answers, in time; and that it is alive all along."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from ratchet.client import Client
from ratchet.client.health import LIVE
from ratchet.errors import Unreachable
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from services.knowledge import bootstrap as knowledge
from services.platform.server import Server
from services.platform.settings import Settings
from services.platform.telemetry import Check
from services.platform.telemetry.checks import HealthChecks
from services.platform.telemetry.peer import peer_check
from services.registry.telemetry import LogTelemetry
from tests.support.observed_registry import Watched, registry_on
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("often")


class Told:
    """What is told, and a dependency that can be taken away."""

    def __init__(self) -> None:
        self.wrong: list[dict[str, str]] = []
        self.there, self.asked = True, 0
        self.hanging = threading.Event()
        self.hanging.set()

    def __call__(self, wrong: Mapping[str, str]) -> None:
        self.wrong.append(dict(wrong))

    def ask(self) -> None:
        self.asked += 1
        self.hanging.wait(30)
        if not self.there:
            raise Unreachable("it is not there")


def watching(told: Told, *more: Check) -> HealthChecks:
    return HealthChecks([Check("thing", told.ask), *more], told)


def test_what_passes_at_once_is_ready_from_the_start() -> None:
    told = Told()
    watch = watching(told)
    watch.start()
    assert told.wrong == [{}]
    watch.close()


def test_what_is_gone_and_what_is_back_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    watch = watching(told)
    with caplog.at_level(logging.INFO, "ratchet.health"):
        watch.start()
        told.there = False
        assert until(lambda: told.wrong[-1] == {"thing": "it is not there"})
        asked = told.asked
        assert until(lambda: told.asked > asked + 1)
        told.there = True
        assert until(lambda: told.wrong[-1] == {})
    watch.close()
    assert told.wrong == [{}, {"thing": "it is not there"}, {}]
    assert [record.getMessage() for record in caplog.records] == [
        "not serving, because of the thing: it is not there",
        "the thing answers again",
    ]


def test_what_hangs_is_gone_and_holds_up_no_other_check() -> None:
    told, other = Told(), Told()
    watch = watching(told, Check("other", other.ask))
    watch.start()
    told.hanging.clear()
    assert until(lambda: "did not answer within" in told.wrong[-1].get("thing", ""))
    asked = other.asked
    assert until(lambda: other.asked > asked + 2)
    assert "other" not in told.wrong[-1]
    told.hanging.set()
    assert until(lambda: told.wrong[-1] == {})
    watch.close()


def test_a_start_does_not_wait_for_what_is_not_there() -> None:
    told = Told()
    told.hanging.clear()
    watch = watching(told)
    watch.start()
    assert told.wrong == [{"thing": "it has not answered yet"}]
    told.hanging.set()
    assert until(lambda: told.wrong[-1] == {})
    watch.close()


def test_a_defect_in_a_check_is_no_answer_and_keeps_its_text_to_itself() -> None:
    told = Told()

    def broken() -> None:
        raise ValueError("a password, perhaps")

    watch = HealthChecks([Check("broken", broken)], told)
    watch.start()
    watch.close()
    assert told.wrong[0]["broken"].startswith("ValueError")
    assert "password" not in told.wrong[0]["broken"]


def test_a_server_without_needs_is_ready() -> None:
    server = Server("127.0.0.1", 0)
    server.start()
    with Client(f"127.0.0.1:{server.port}") as client:
        peer_check("peer", client.registry).ask()
        server._health.update((), (), {"thing": "gone"})
        with pytest.raises(Unreachable, match="is not ready: gone"):
            peer_check("peer", client.registry).ask()
        server.stop(0)
        with pytest.raises(Unreachable):
            peer_check("peer", client.registry).ask()


def test_a_server_that_has_stopped_asks_for_nothing_any_more() -> None:
    told, server = Told(), Server("127.0.0.1", 0)
    server.needs(Check("thing", told.ask))
    server.start()
    assert until(lambda: told.asked > 2)
    server.stop(0)
    asked = told.asked
    time.sleep(0.3)
    assert told.asked <= asked + 1


def test_a_registry_whose_database_takes_no_writes_is_not_ready_until_it_does(tmp_path: Path) -> None:
    with (
        registry_on(tmp_path) as watched,
        closing(sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)) as other,
    ):
        assert watched.health().serving
        other.execute("BEGIN IMMEDIATE")
        assert until(lambda: not watched.health().serving)
        assert watched.health(LIVE).serving
        assert not watched.health("ratchet.registry.v1.RegistryService").serving
        assert "did not answer" in watched.health("database").wrong
        assert watched.metric("ratchet_dependency_up", dependency="database") == 0
        assert list(watched.client.list_models()) == []
        other.execute("ROLLBACK")
        assert until(lambda: watched.health().serving)
        assert watched.metric("ratchet_dependency_up", dependency="database") == 1


def test_looking_at_the_database_writes_nothing_to_it(
    tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("log.sqlite", "log.sqlite-wal")]
    before = [file.read_bytes() for file in files]
    looks: list[object] = []
    look = LogTelemetry._require_writable
    monkeypatch.setattr(LogTelemetry, "_require_writable", lambda self: looks.append(look(self)))
    assert until(lambda: len(looks) > 5)
    assert [file.read_bytes() for file in files] == before


def test_knowledge_is_ready_once_it_has_read_the_log_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry_on(tmp_path) as watched:
        address = f"127.0.0.1:{watched.server.port}"
        monkeypatch.setenv("RATCHET_REGISTRY", address)
        server, closers = knowledge.build(Settings.load("knowledge", tmp_path, "127.0.0.1", 0))
        server.start()
        with Client(knowledge=f"127.0.0.1:{server.port}") as client:
            assert until(lambda: _is_ready(client))
            assert server.telemetry.metrics.registry.get_sample_value("ratchet_knowledge_lag") == 0
            watched.server.stop(0)
            assert until(lambda: not _is_ready(client))
        server.stop(0)
        for close in closers:
            close()


def test_knowledge_that_has_not_read_the_log_is_not_ready_though_the_log_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_LIMIT_WATCH_STREAMS", "1")
    with registry_on(tmp_path) as watched, grpc.insecure_channel(f"127.0.0.1:{watched.server.port}") as channel:
        taken = eventlog_pb2_grpc.EventLogServiceStub(channel).Subscribe(eventlog_pb2.SubscribeRequest())
        next(taken)
        monkeypatch.setenv("RATCHET_REGISTRY", f"127.0.0.1:{watched.server.port}")
        server, closers = knowledge.build(Settings.load("knowledge", tmp_path, "127.0.0.1", 0))
        server.start()
        with Client(knowledge=f"127.0.0.1:{server.port}") as client:
            assert not _is_ready(client)
            assert server.telemetry.metrics.registry.get_sample_value("ratchet_knowledge_lag") == 1
            taken.cancel()
            assert until(lambda: _is_ready(client))
        server.stop(0)
        for close in closers:
            close()


def test_knowledge_without_a_log_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_REGISTRY", "127.0.0.1:1")
    server, closers = knowledge.build(Settings.load("knowledge", tmp_path, "127.0.0.1", 0))
    server.start()
    with Client(knowledge=f"127.0.0.1:{server.port}") as client:
        assert not _is_ready(client)
    server.stop(0)
    for close in closers:
        close()


def _is_ready(client: Client) -> bool:
    try:
        peer_check("knowledge", client.knowledge).ask()
    except Unreachable:
        return False
    return True
