"""Knowledge that lost the log knows it, and says so to those who ask for what it can't have read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from waiting import until

from ratchet.cli import ports
from ratchet.errors import DeadlinePassed, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from services.kernel.log_client import LogClient
from services.kernel.server import Server
from services.knowledge.book import Book, Follower
from services.registry.log import open_log
from services.registry.log.service import NAME, EventLogService


def test_a_position_that_does_not_come_is_late_while_the_log_answers_and_unreachable_while_it_does_not() -> None:
    book = Book("the registry")
    book.complete()
    with pytest.raises(DeadlinePassed, match="position 0 and 7 did not come"):
        book.wait(7, seconds=0.01)
    book.cut_off = True
    with pytest.raises(Unreachable, match="up to position 0, and the registry does not answer: position 7") as raised:
        book.wait(7, seconds=0.01)
    assert not isinstance(raised.value, DeadlinePassed)
    assert book.wait(0, seconds=0.01).position == 0


def test_a_follower_whom_nobody_answers_has_its_book_cut_off_until_somebody_does(tmp_path: Path) -> None:
    [port, *_] = ports.choose(0)
    client = LogClient(f"127.0.0.1:{port}", "tester")
    book = Book(client.peer)
    follower = Follower(client, book)
    follower.start()
    assert until(lambda: book.cut_off)
    log = open_log(f"sqlite://{tmp_path / 'log.sqlite'}", (), lambda: datetime.now(UTC))
    server = Server("127.0.0.1", port)
    server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, EventLogService(log), NAME)
    server.start()
    assert until(lambda: not book.cut_off)
    follower.close()
    client.close()
    server.stop(0)
    log.close()
