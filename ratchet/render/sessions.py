"""What a training session did, in words: candidates, corrections, exclusions and the search for patterns."""

from __future__ import annotations

from ratchet.events.v1 import model_pb2
from ratchet.statistics.scores import CLASS_ROWS

CHOOSE_BARS = 60
"""Bars of choose unseen by the parent from which candidates are compared."""

TEST_ROWS = 250
"""Rows that no test has used from which rules are searched for."""

_CHANGES = {
    model_pb2.CANDIDATE_CHANGE_EXTENDED: "extended",
    model_pb2.CANDIDATE_CHANGE_RECALIBRATED: "recalibrated",
    model_pb2.CANDIDATE_CHANGE_UNCHANGED: "unchanged",
}
_LEFT_OUT = {
    model_pb2.LEFT_OUT_REASON_USELESS: "ranked useless by each of the last three sessions",
    model_pb2.LEFT_OUT_REASON_RETIRED: "retired",
    model_pb2.LEFT_OUT_REASON_COVERED: "covered",
    model_pb2.LEFT_OUT_REASON_REFUTED: "refuted",
}


def candidate(found: model_pb2.Candidate, parent: str) -> str:
    """A candidate in a few words, such as `recalibrated AAPL/range/har/v2`; `parent`: the session's parent."""
    match found.skipped:
        case model_pb2.CANDIDATE_SKIPPED_NO_PARENT:
            return "skipped: no parent"
        case model_pb2.CANDIDATE_SKIPPED_TOO_FEW_UNSEEN_ROWS:
            return "skipped: too few unseen rows"
        case model_pb2.CANDIDATE_SKIPPED_TOO_FEW_CHOOSE_BARS:
            rows = f"{found.choose_bars} rows of choose that the parent never saw"
            return f"skipped: {rows}, {CHOOSE_BARS} needed to compare"
    change = _CHANGES.get(found.change)
    return f"{change} {parent}" if change else f"new, complexity step {found.complexity_step}"


def correction(found: model_pb2.Correction) -> str:
    """The subject of a correction of the parent's systematic errors."""
    if found.kind == model_pb2.CORRECTION_KIND_OFFSET:
        return f"offset: {found.offset:+.3f} added to the log-odds"
    slices = "; ".join(
        f"{each.dimension} {each.bucket}: {each.bias.value:+.3f} on {each.bars} bars" for each in found.slices
    )
    return f"weights: double weight where the parent was biased: {slices}"


def left_out(found: model_pb2.PatternLeftOut | model_pb2.FeatureLeftOut) -> str:
    """The reason for leaving a pattern or a feature out of a model."""
    if isinstance(found, model_pb2.PatternLeftOut):
        if found.reason == model_pb2.LEFT_OUT_REASON_UNKNOWN_FEATURE:
            return f"feature {found.unknown_feature} is not computed by this version"
        if found.covered_by:
            return f"covered by {found.covered_by}"
    return _LEFT_OUT.get(found.reason, "unknown")


def mining(found: model_pb2.Mining) -> str:
    """The search for patterns: its numbers, or why there was none."""
    match found.skipped:
        case model_pb2.MINING_SKIPPED_NOT_ASKED_FOR:
            return "not asked for"
        case model_pb2.MINING_SKIPPED_TOO_FEW_ROWS:
            return f"waits: {found.test_rows} rows that no test has used, {TEST_ROWS} needed"
        case model_pb2.MINING_SKIPPED_RARE_CLASS:
            rows = f"{found.test_rows} rows that no test has used"
            return f"waits: fewer than {CLASS_ROWS} of a class among the {rows}"
    return f"{found.rules} rules, found on {found.searched_rows} rows, tested on {found.test_rows} others"
