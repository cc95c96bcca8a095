"""Sentences on the work of a session."""

from __future__ import annotations

import pytest

from ratchet.events.v1 import model_pb2
from ratchet.render import sessions
from services.trainer.learning.selection import CHOOSE_ROWS
from services.trainer.mining.mine import MIN_TEST_ROWS

PARENT = "AAPL/range/har/v2"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"change": "NEW", "complexity_step": 3}, "new, complexity step 3"),
        ({"change": "EXTENDED"}, f"extended {PARENT}"),
        ({"change": "RECALIBRATED"}, f"recalibrated {PARENT}"),
        ({"change": "UNCHANGED"}, f"unchanged {PARENT}"),
        ({"skipped": "NO_PARENT"}, "skipped: no parent"),
        ({"skipped": "TOO_FEW_UNSEEN_ROWS"}, "skipped: too few unseen rows"),
        (
            {"change": "EXTENDED", "skipped": "TOO_FEW_CHOOSE_BARS", "choose_bars": 59},
            "skipped: 59 rows of choose that the parent never saw, 60 needed to compare",
        ),
    ],
)
def test_candidates(found: dict[str, object], said: str) -> None:
    candidate = model_pb2.Candidate(complexity_step=int(str(found.get("complexity_step", 0))))
    candidate.choose_bars = int(str(found.get("choose_bars", 0)))
    if "change" in found:
        candidate.change = model_pb2.CandidateChange.Value(f"CANDIDATE_CHANGE_{found['change']}")
    if "skipped" in found:
        candidate.skipped = model_pb2.CandidateSkipped.Value(f"CANDIDATE_SKIPPED_{found['skipped']}")
    assert sessions.candidate(candidate, PARENT) == said


def test_corrections() -> None:
    offset = model_pb2.Correction(kind=model_pb2.CORRECTION_KIND_OFFSET, offset=-0.12)
    assert sessions.correction(offset) == "offset: -0.120 added to the log-odds"
    biased = [
        model_pb2.ErrorSlice(dimension="weekday", bucket="Monday", bars=31, bias=model_pb2.Interval(value=0.125)),
        model_pb2.ErrorSlice(dimension="volatility", bucket="high", bars=60, bias=model_pb2.Interval(value=-0.08)),
    ]
    weights = model_pb2.Correction(kind=model_pb2.CORRECTION_KIND_WEIGHTS, slices=biased)
    assert sessions.correction(weights) == (
        "weights: double weight where the parent was biased:"
        " weekday Monday: +0.125 on 31 bars; volatility high: -0.080 on 60 bars"
    )


def test_exclusions() -> None:
    def pattern(reason: str, **more: str) -> str:
        kind = model_pb2.LeftOutReason.Value(f"LEFT_OUT_REASON_{reason}")
        return sessions.left_out(model_pb2.PatternLeftOut(pattern_id="p", reason=kind, **more))

    assert [pattern("RETIRED"), pattern("REFUTED")] == ["retired", "refuted"]
    assert pattern("COVERED", covered_by="ab12") == "covered by ab12"
    unknown = pattern("UNKNOWN_FEATURE", unknown_feature="moon_phase")
    assert unknown == "feature moon_phase is not computed by this version"
    useless = model_pb2.FeatureLeftOut(name="weekday", reason=model_pb2.LEFT_OUT_REASON_USELESS)
    assert sessions.left_out(useless) == "ranked useless by each of the last three sessions"


def test_mining() -> None:
    found = model_pb2.Mining(rules=12, searched_rows=900, test_rows=480)
    assert sessions.mining(found) == "12 rules, found on 900 rows, tested on 480 others"
    said = {}
    for skipped in ("NOT_ASKED_FOR", "TOO_FEW_ROWS", "RARE_CLASS"):
        found.skipped = model_pb2.MiningSkipped.Value(f"MINING_SKIPPED_{skipped}")
        said[skipped] = sessions.mining(found)
    assert said == {
        "NOT_ASKED_FOR": "not asked for",
        "TOO_FEW_ROWS": "waits: 480 rows that no test has used, 250 needed",
        "RARE_CLASS": "waits: fewer than 20 of a class among the 480 rows that no test has used",
    }


def test_the_numbers_that_are_needed_are_those_of_the_trainer() -> None:
    assert (sessions.CHOOSE_BARS, sessions.TEST_ROWS) == (CHOOSE_ROWS, MIN_TEST_ROWS)
