"""The bench goes on where it was stopped, uses no result of other code, and says what does not hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.learning import Kept, fingerprint, units
from bench.units import FIVE, SMALL, TWENTY, Gain, Result, Unit, play
from bench.verdicts import over_bars, over_units, table
from ratchet.names import MODEL_TYPES
from services.trainer.learning.inputs import SessionOptions

LEARNED = Result(5, 1, True, False, Gain(0.012, 0.1, 600), Gain(0.01, 0.1, 600), 2, 1.5)
NOTHING = replace(LEARNED, promotions=0, balanced=False, gain=Gain(0.0, 0.0, 600), found=0)


def planted(learned: int, of: int = 10) -> dict[Unit, Result]:
    wanted = units(series=of, only=["planted", "logistic"])
    gains = (Gain(0.012 + 0.001 * unit.number, 0.1, 600) for unit in wanted)
    return {
        unit: replace(LEARNED, gain=gained) if unit.number < learned else NOTHING
        for unit, gained in zip(wanted, gains, strict=True)
    }


def null(balanced: int, strict: int) -> dict[Unit, Result]:
    wanted = units(only=["null", "xgboost"])
    return {
        unit: replace(NOTHING, balanced=unit.number < balanced, strict=unit.number < strict, sessions=20)
        for unit in wanted
    }


def test_every_model_type_is_played_on_planted_and_null_series() -> None:
    every = units()
    for model_type in MODEL_TYPES:
        large = model_type in ("logistic", "xgboost")
        of_type = [unit for unit in every if unit.model_type == model_type]
        on_null = [unit for unit in of_type if unit.part == "null"]
        assert [unit.number for unit in of_type if unit.part == "planted"] == list(range(10))
        assert len(on_null) == (100 if large else 20)
        assert {unit.sessions for unit in on_null} == {TWENTY if large else FIVE}
    assert TWENTY[0], TWENTY[-1] == (650, 3_000)


def test_the_first_units_are_of_every_model_type() -> None:
    first = units()[: len(MODEL_TYPES)]
    assert {(unit.part, unit.model_type) for unit in first} == {("planted", model_type) for model_type in MODEL_TYPES}


def test_results_are_kept_and_found_again_by_the_same_code_alone(tmp_path: Path) -> None:
    path, (first, second, third) = tmp_path / "learning.jsonl", units(series=3, only=["planted", "logistic"])
    Kept(path, "this code").add(first, LEARNED)
    Kept(path, "other code").add(second, LEARNED)
    assert Kept(path, "this code").read([first, second, third]) == {first: LEARNED}


def test_a_unit_that_changed_is_played_again(tmp_path: Path) -> None:
    kept, unit = Kept(tmp_path / "learning.jsonl", "code"), units(only=["null", "logistic"])[0]
    kept.add(unit, NOTHING)
    assert kept.read([replace(unit, options=replace(SMALL, suggestions=1))]) == {}


def test_a_line_that_was_cut_off_costs_that_result_alone(tmp_path: Path) -> None:
    path, (first, second) = tmp_path / "learning.jsonl", units(series=2, only=["planted", "logistic"])
    Kept(path, "code").add(first, LEARNED)
    whole = path.read_text()
    path.write_text(whole + whole[:40])
    Kept(path, "code").add(second, NOTHING)
    assert Kept(path, "code").read([first, second]) == {first: LEARNED, second: NOTHING}


def test_the_fingerprint_is_that_of_code_that_is_there() -> None:
    assert fingerprint() == fingerprint()
    assert len(fingerprint()) == 16


def test_six_of_ten_lineages_that_learn_are_enough_and_five_are_not() -> None:
    assert table(planted(learned=6)).failed == ()
    (reason,) = table(planted(learned=5)).failed
    assert reason == "logistic promotes on 5 of 10 planted series, 6 needed"


def test_a_gain_whose_interval_holds_0_fails() -> None:
    results = {
        unit: replace(LEARNED, gain=Gain(mean, 0.1, 600))
        for unit, mean in zip(planted(2, 2), (0.03, 0.001), strict=True)
    }
    (reason,) = table(results).failed
    assert "its interval is not above 0" in reason


def test_null_promotions_fail_when_a_binomial_test_at_01_says_so() -> None:
    assert table(null(balanced=18, strict=11)).failed == ()
    assert table(null(balanced=19, strict=0)).failed == ("xgboost promotes on 19 of 100 null series under balanced",)
    assert table(null(balanced=12, strict=12)).failed == ("xgboost promotes on 12 of 100 null series under strict",)


def test_the_table_has_a_row_for_each_model_type_that_was_played() -> None:
    text = table({**planted(learned=8), **null(balanced=4, strict=1)}).text
    assert "| logistic | 10 | 8 (≥ 6) |" in text
    assert "| xgboost | 100 | 2000 | 0.040 [0.016, 0.098] |" in text
    assert "Everything holds." in text


def test_the_interval_over_series_is_students_and_the_one_over_bars_the_normal() -> None:
    over = over_units([0.01, 0.02, 0.03])
    assert (over.value, over.low, over.high) == pytest.approx(
        (0.02, 0.02 - 4.3027 * 0.01 / 3**0.5, 0.0448414), abs=1e-6
    )
    bars = over_bars([Gain(0.01, 0.1, 400), Gain(0.03, 0.1, 400)])
    assert (bars.value, bars.high) == pytest.approx((0.02, 0.02 + 1.96 * 0.1 / 800**0.5))


def test_a_null_lineage_ends_with_its_first_promotion_and_is_judged_under_both_policies() -> None:
    result = play(Unit("null", "logistic", 0, (650, 900), SMALL))
    assert result.sessions <= 2
    assert result.promotions == result.strict
    assert result.balanced or not result.strict


def test_a_planted_lineage_is_played_to_its_last_session_and_its_rules_are_looked_for() -> None:
    result = play(Unit("planted", "logistic", 0, FIVE[:2], SessionOptions()))
    assert result.sessions == 2
    assert 0 <= result.found <= 3
    assert result.gain.bars > 0
