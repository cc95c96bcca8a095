"""Selection between transfer and scratch, with a report on both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ratchet.scoring.models.function import Function
from services.trainer.learning.candidates import CandidateData, RowWeights, Trial
from services.trainer.learning.outcome import CandidateKind, CandidateReport, CandidateSkipped
from services.trainer.learning.scratch import scratch_final, scratch_trial
from services.trainer.learning.study import StudyPlan
from services.trainer.learning.transfer import (
    Parent,
    compare_offset,
    transfer_applies,
    transfer_final,
    transfer_trial,
)

CHOOSE_ROWS = 60

Clock = Callable[[], float]
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class SelectedCandidate:
    """The selected candidate: its function, its trial, and the reports on both candidates.

    `scratch`: the new model's trial, selected or not.
    """

    function: Function
    trial: Trial
    scratch: Trial
    transfer: Trial | None
    reports: tuple[CandidateReport, CandidateReport]


def select_candidate(
    data: CandidateData, parent: Parent | None, study_plan: StudyPlan, row_weights: RowWeights | None, clock: Clock
) -> SelectedCandidate:
    """The better candidate on the choose rows unseen by the parent, refitted on all rows before the holdout.

    With fewer than CHOOSE_ROWS such rows, and on ties, the new model is selected. `clock` measures CPU seconds.
    """
    rows = data.windows.choose.rows()
    if parent is not None:
        rows = rows[parent.unseen[rows]]
    scratch = _run(lambda: scratch_trial(data, study_plan, row_weights), clock)
    skipped: CandidateSkipped | None = None
    transfer = None
    if parent is None:
        skipped = "no_parent"
    elif not transfer_applies(data, parent):
        skipped = "too_few_unseen_rows"
    else:
        transfer = _run(lambda: transfer_trial(data, parent, study_plan.settings[0]), clock)
        skipped = "too_few_choose_bars" if len(rows) < CHOOSE_ROWS else None

    corrected = compare_offset(data, transfer.value, rows) if transfer else None
    scratch_score = data.score(scratch.value.function, rows)
    transfer_score = data.score(corrected.function, rows) if corrected else math.nan
    if parent and transfer and corrected and not skipped and transfer_score < scratch_score:
        trial, transferred = corrected, True
        final = _run(lambda: transfer_final(data, parent, trial), clock)
        seconds = (scratch.seconds, transfer.seconds + final.seconds)
    else:
        trial, transferred = scratch.value, False
        final = _run(lambda: scratch_final(data, trial), clock)
        seconds = (scratch.seconds + final.seconds, transfer.seconds if transfer else 0.0)
    reports = (
        _report("transfer", corrected, transfer_score, len(rows), seconds[1], transferred, skipped),
        _report("scratch", scratch.value, scratch_score, len(rows), seconds[0], not transferred, None),
    )
    return SelectedCandidate(final.value, trial, scratch.value, corrected, reports)


@dataclass(frozen=True, eq=False)
class _Timed(Generic[Result]):
    value: Result
    seconds: float


def _run(make: Callable[[], Result], clock: Clock) -> _Timed[Result]:
    began = clock()
    return _Timed(make(), clock() - began)


def _report(
    kind: CandidateKind,
    trial: Trial | None,
    score: float,
    bars: int,
    seconds: float,
    chosen: bool,
    skipped: CandidateSkipped | None,
) -> CandidateReport:
    return CandidateReport(
        kind=kind,
        change=trial.change if trial else None,
        step=trial.step if trial else 0,
        tune_score=trial.tune_score if trial else None,
        choose_score=None if math.isnan(score) else score,
        choose_bars=bars,
        cpu_seconds=seconds,
        chosen=chosen,
        skipped=skipped,
    )
