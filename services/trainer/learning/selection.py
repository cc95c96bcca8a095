"""Choosing between transfer and scratch: both are reported, whichever wins, and when one is skipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ratchet.scoring.models.function import Function
from services.trainer.learning.candidates import Emphasis, Material, Trial
from services.trainer.learning.outcome import CandidateKind, CandidateReport
from services.trainer.learning.scratch import scratch_final, scratch_trial
from services.trainer.learning.study import Search
from services.trainer.learning.transfer import (
    Parent,
    offset_compared,
    transfer_final,
    transfer_skipped,
    transfer_trial,
)

CHOOSE_ROWS = 60

Clock = Callable[[], float]
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Chosen:
    """The session's challenger: its function, the trial that it came from, and the reports on both candidates.

    `scratch`: the new model's trial, chosen or not.
    """

    function: Function
    trial: Trial
    scratch: Trial
    transfer: Trial | None
    reports: tuple[CandidateReport, CandidateReport]


def choose(
    material: Material, parent: Parent | None, search: Search, emphasis: Emphasis | None, clock: Clock
) -> Chosen:
    """The candidate that does better on what the parent never saw of choose, fitted on all rows before the holdout.

    With fewer than CHOOSE_ROWS such rows, and between equals, it is the new model. `clock` measures CPU seconds.
    """
    rows = material.windows.choose.rows()
    if parent is not None:
        rows = rows[parent.unseen[rows]]
    scratch = _run(lambda: scratch_trial(material, search, emphasis), clock)
    skipped = transfer_skipped(material, parent) if parent else "no parent"
    transfer = (
        _run(lambda: transfer_trial(material, parent, search.enqueued[0]), clock) if parent and not skipped else None
    )
    if transfer and len(rows) < CHOOSE_ROWS:
        skipped = f"{len(rows)} rows of choose that the parent never saw, {CHOOSE_ROWS} needed to compare"

    tried = offset_compared(material, transfer.made, rows) if transfer else None
    scratch_score = material.score(scratch.made.function, rows)
    transfer_score = material.score(tried.function, rows) if tried else math.nan
    if parent and transfer and tried and not skipped and transfer_score < scratch_score:
        trial, carried = tried, True
        final = _run(lambda: transfer_final(material, parent, trial), clock)
        spent = (scratch.seconds, transfer.seconds + final.seconds)
    else:
        trial, carried = scratch.made, False
        final = _run(lambda: scratch_final(material, trial), clock)
        spent = (scratch.seconds + final.seconds, transfer.seconds if transfer else 0.0)
    reports = (
        _report("transfer", tried, transfer_score, len(rows), spent[1], carried, skipped),
        _report("scratch", scratch.made, scratch_score, len(rows), spent[0], not carried, ""),
    )
    return Chosen(final.made, trial, scratch.made, tried, reports)


@dataclass(frozen=True, eq=False)
class _Timed(Generic[Made]):
    made: Made
    seconds: float


def _run(make: Callable[[], Made], clock: Clock) -> _Timed[Made]:
    began = clock()
    return _Timed(make(), clock() - began)


def _report(
    kind: CandidateKind, trial: Trial | None, score: float, bars: int, seconds: float, chosen: bool, skipped: str
) -> CandidateReport:
    return CandidateReport(
        kind=kind,
        description=trial.description if trial else "",
        tune_score=trial.tune_score if trial else None,
        choose_score=None if math.isnan(score) else score,
        choose_bars=bars,
        cpu_seconds=seconds,
        chosen=chosen,
        skipped=skipped,
    )
