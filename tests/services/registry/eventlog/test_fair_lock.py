"""Turns are taken in order, one at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from services.registry.eventlog.fair_lock import FairLock


def test_who_comes_back_waits_behind_those_who_were_there() -> None:
    turns, order = FairLock(), []

    def wait_once() -> None:
        with turns.hold():
            order.append("other")

    with ThreadPoolExecutor(1) as pool:
        with turns.hold():
            other = pool.submit(wait_once)
            while len(turns._waiting) < 2:
                threading.Event().wait(0.001)
        with turns.hold():
            order.append("again")
        other.result(30)
    assert order == ["other", "again"]


def test_only_one_has_the_turn() -> None:
    turns, inside, most = FairLock(), [0], [0]

    def work(_: int) -> None:
        with turns.hold():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.0005)
            inside[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(100)))
    assert most == [1]
