"""The choice among contenders, which the registry makes and replay makes again."""

from __future__ import annotations

from ratchet.decisions.selection import Result, Runner, run, stand_in

OWN = "v9"


def test_of_those_that_pass_the_largest_e_is_promoted_and_the_race_begins_anew() -> None:
    scored = [Runner("v2", 30.0, "PROMOTED"), Runner("v3", 90.0, "PROMOTED"), Runner(OWN, 40.0, "PROMOTED")]
    assert run({"v2": 1.0, "v3": 2.0}, scored, OWN, True) == Result("v3", "INCONCLUSIVE", ())
    assert run({}, scored[2:], OWN, True) == Result(OWN, "PROMOTED", ())


def test_three_that_were_not_beaten_stay_the_largest_e_first() -> None:
    scored = [Runner("v2", 5.0), Runner(OWN, 0.01, "REJECTED")]
    assert run({"v2": 1.0, "v3": 2.0, "v4": 0.5}, scored, OWN, True) == Result("", "REJECTED", ("v2", "v3", "v4"))
    scored = [Runner("v2", 0.2), Runner(OWN, 3.0)]
    assert run({"v2": 1.0, "v3": 2.0, "v4": 0.5}, scored, OWN, True).kept == (OWN, "v3", "v4")


def test_without_new_bars_nothing_is_promoted_and_nobody_pushed_out() -> None:
    scored = [Runner(OWN, 1e9, "PROMOTED")]
    assert run({"v2": 1.0, "v3": 2.0}, scored, OWN, False) == Result("", "NO_NEW_EVIDENCE", ("v2", "v3", OWN))
    assert run({"v2": 1.0, "v3": 2.0, "v4": 0.1}, scored, OWN, False).kept == ("v2", "v3", "v4")


def test_the_best_paired_mean_stands_in_the_first_name_of_equals() -> None:
    champions = ["c/v1", "a/v1", "b/v2"]
    assert stand_in(champions, {"b/v2": 0.1, "a/v1": 0.1, "gone/v1": 9.0}, "c/v1") == "a/v1"
    assert stand_in(champions, {}, "c/v1") == "c/v1"
