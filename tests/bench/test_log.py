"""The planted log of make bench-log is one that the registry could have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import log as bench
from bench.planted_log import EVENTS, PlantedLog

SESSIONS = 40


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "log.sqlite"
    assert bench.plant(path, PlantedLog(2), SESSIONS) == SESSIONS * EVENTS
    with bench.opened(path) as (log, _):
        log.rebuild()
    return path


def test_the_storage_form_is_what_the_commit_path_writes(tmp_path: Path) -> None:
    assert bench.sample_is_the_same(tmp_path, 15)


def test_every_session_is_eight_events_and_one_decision_has_120_bars(planted: Path) -> None:
    with bench.opened(planted) as (log, _):
        rows = log.query("SELECT series, bars FROM decision_history WHERE scope = 'LINEAGE' AND champion <> ''")
        assert {row["bars"] for row in rows} == {120}
        [row] = log.query("SELECT COUNT(*) AS n FROM decision_history WHERE scope = 'LINEAGE'")
        assert row["n"] == SESSIONS


def test_what_is_folded_in_memory_is_what_the_registry_loads(planted: Path) -> None:
    assert bench.aggregates(planted, SESSIONS * EVENTS).endswith(f", {SESSIONS} versions")


def test_it_verifies(planted: Path) -> None:
    assert f"{SESSIONS:,} sessions" in bench.verified(planted)


def test_reads_of_the_past_of_a_planted_log_are_answered(planted: Path) -> None:
    assert len(bench.time_travel(planted, 5)) == 20
