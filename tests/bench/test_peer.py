"""The registry is compared with another only where that is installed, and is called slower where it is."""

from __future__ import annotations

from pathlib import Path

from bench.speed.peer import beside, measure


def test_a_peer_that_is_not_installed_is_one_row_that_says_how_and_promises_nothing(tmp_path: Path) -> None:
    [row] = measure(tmp_path, environment=tmp_path / "none")
    assert row.result == "not installed: make bench-peer"
    assert (row.promise, row.holds) == ("", None)


def test_an_installation_that_was_cut_short_is_none(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    [row] = measure(tmp_path, environment=tmp_path)
    assert row.holds is None


def test_the_registry_is_called_slower_where_it_is_and_the_promise_is_broken() -> None:
    quick, slow = beside("a call", 2.0, 10.0, "ms"), beside("a call", 10.0, 2.0, "ms")
    assert (quick.result, quick.holds) == ("2.0 ms, MLflow 10.0 ms: 5.0 times quicker", True)
    assert (slow.result, slow.holds) == ("10.0 ms, MLflow 2.0 ms: 5.0 times slower", False)
    assert quick.promise == slow.promise == "no slower than MLflow"
    assert not quick.guarded
