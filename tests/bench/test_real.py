"""The bench on real series scores every arm on the same bars, and says what does not hold."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from bench.real import CHAMPION, DEMO, FIRST_VERSION, FRESH, NEWEST, Result, Unit, play, session_dates, table, units
from ratchet.names import MODEL_TYPES
from ratchet.scoring import baselines

HAR = Unit("GOOG", str(Path(__file__).parents[2] / "ratchet" / "data" / "GOOG.csv"), "range", "har")
ARMS = {CHAMPION: 0.20, NEWEST: 0.20, FIRST_VERSION: 0.21, FRESH: 0.20, baselines.HAR: 0.20}
GOOD = Result(900, ARMS, promotions=1, v1_skilled=True, fresh_better=False, cpu_seconds=12.0)


def test_twelve_sessions_are_spread_evenly_from_the_first_date_on() -> None:
    dates = session_dates(3_270, 5)
    assert (len(dates), dates[0]) == (12, 1_255)
    assert {later - earlier for earlier, later in itertools.pairwise(dates)} <= {167, 168}
    assert dates[-1] < 3_270 - 150


def test_a_clean_clone_plays_the_demo_series_and_a_folder_adds_more(tmp_path: Path) -> None:
    (tmp_path / "XYZ5M.csv").write_text("")
    assert {unit.series for unit in units(None)} == set(DEMO)
    more = [unit for unit in units(tmp_path) if unit.series not in DEMO]
    assert {unit.series for unit in more} == {"XYZ@5m"}
    assert {unit.target for unit in more} == {"range", "volatility"}
    assert {unit.model_type for unit in more} == set(MODEL_TYPES)


@pytest.mark.parametrize(
    ("result", "as_built", "said"),
    [
        (GOOD, 0.23, ""),
        (GOOD, 0.21, "4.8 % below as built, 8 asked"),
        (replace(GOOD, brier={**ARMS, CHAMPION: 0.206}), 0.23, "1.030 of har@baseline, 1.02 at most"),
        (replace(GOOD, v1_skilled=False), 0.23, "v1 skilled in 0.00, 0.8 asked"),
        (replace(GOOD, fresh_better=True), 0.23, "fresh is shown better than the champion in 1 of 1"),
    ],
)
def test_the_table_says_what_does_not_hold(result: Result, as_built: float, said: str) -> None:
    found = table({HAR: result}, {HAR.name: as_built})
    assert (said in "; ".join(found.failed)) if said else not found.failed
    assert ("Everything holds." in found.text) == (not said)


@pytest.mark.slow
def test_a_lineage_is_played_to_its_end() -> None:
    result = play(HAR)
    assert set(result.brier) == {CHAMPION, NEWEST, FIRST_VERSION, FRESH, *baselines_of_range()}
    assert result.bars == 896
    assert result.v1_skilled
    assert result.brier[CHAMPION] < 0.9 * result.brier[baselines.PERSISTENCE]


def baselines_of_range() -> set[str]:
    names = ("BASE_RATE", "PERSISTENCE", "HAR", "RIDGE", "BOOSTING", "ONLINE", "MEAN", "STACK", "HAR_LEVEL")
    return {getattr(baselines, name) for name in names}
