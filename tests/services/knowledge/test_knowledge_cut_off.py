"""Knowledge that lost the log knows it, and says so to those who ask for what it can't have read."""

from __future__ import annotations

import time

import pytest

from ratchet.errors import DeadlinePassed, Unreachable
from services.kernel.log_client import LogClient
from services.knowledge.book import Book, Follower

NOBODY = "127.0.0.1:1"


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


def test_a_follower_whom_nobody_answers_has_its_book_cut_off() -> None:
    client = LogClient(NOBODY, "tester")
    book = Book(client.peer)
    follower = Follower(client, book)
    follower.start()
    end = time.monotonic() + 20.0
    while not book.cut_off and time.monotonic() < end:
        time.sleep(0.05)
    follower.close()
    client.close()
    assert book.cut_off
