"""The choice among contenders, which the registry makes and replay makes again."""

from __future__ import annotations

from ratchet.decisions.selection import Contender, Selection, best_by_mean, select

OWN = "v9"


def test_of_those_that_pass_the_largest_e_is_promoted_and_the_race_begins_anew() -> None:
    scored = [Contender("v2", 30.0, "PROMOTED"), Contender("v3", 90.0, "PROMOTED"), Contender(OWN, 40.0, "PROMOTED")]
    assert select({"v2": 1.0, "v3": 2.0}, scored, OWN, True) == Selection("v3", "INCONCLUSIVE", ())
    assert select({}, scored[2:], OWN, True) == Selection(OWN, "PROMOTED", ())


def test_three_that_were_not_beaten_stay_the_largest_e_first() -> None:
    scored = [Contender("v2", 5.0), Contender(OWN, 0.01, "REJECTED")]
    assert select({"v2": 1.0, "v3": 2.0, "v4": 0.5}, scored, OWN, True) == Selection("", "REJECTED", ("v2", "v3", "v4"))
    scored = [Contender("v2", 0.2), Contender(OWN, 3.0)]
    assert select({"v2": 1.0, "v3": 2.0, "v4": 0.5}, scored, OWN, True).kept == (OWN, "v3", "v4")


def test_without_new_bars_nothing_is_promoted_and_nobody_pushed_out() -> None:
    scored = [Contender(OWN, 1e9, "PROMOTED")]
    assert select({"v2": 1.0, "v3": 2.0}, scored, OWN, False) == Selection("", "NO_NEW_EVIDENCE", ("v2", "v3", OWN))
    assert select({"v2": 1.0, "v3": 2.0, "v4": 0.1}, scored, OWN, False).kept == ("v2", "v3", "v4")


def test_the_best_paired_mean_stands_in_the_first_name_of_equals() -> None:
    champions = ["c/v1", "a/v1", "b/v2"]
    assert best_by_mean(champions, {"b/v2": 0.1, "a/v1": 0.1, "gone/v1": 9.0}, "c/v1") == "a/v1"
    assert best_by_mean(champions, {}, "c/v1") == "c/v1"
