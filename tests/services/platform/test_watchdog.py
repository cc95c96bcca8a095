"""Whatever takes longer than it may is told so, and nothing else is."""

import threading

from services.platform.watchdog import Watchdog

LONG, SOON = 3600.0, 20.0


def test_what_takes_too_long_is_told_so_also_behind_what_may_take_longer() -> None:
    watchdog, late, early = Watchdog(), threading.Event(), threading.Event()
    with watchdog.within(LONG, late.set), watchdog.within(0.05, early.set):
        assert early.wait(SOON)
    assert not late.is_set()


def test_what_has_ended_in_time_is_left_alone() -> None:
    watchdog, told, after = Watchdog(), threading.Event(), threading.Event()
    with watchdog.within(0.05, told.set):
        pass
    with watchdog.within(0.1, after.set):
        assert after.wait(SOON)
    assert not told.is_set()


def test_what_has_ended_is_not_kept_until_its_time_would_be_up() -> None:
    watchdog = Watchdog()
    for _ in range(1000):
        with watchdog.within(LONG, lambda: None):
            pass
    assert len(watchdog._deadlines) < 10
