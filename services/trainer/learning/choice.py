"""Choosing between transfer and scratch: both are reported, whichever wins, and when one is skipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ratchet.proof.scores import brier
from services.trainer.learning.candidates import (
    CHOOSE_ROWS,
    Material,
    Parent,
    Trial,
    scratch_final,
    scratch_trial,
    steps_to_try,
    transfer_final,
    transfer_skipped,
    transfer_trial,
)
from services.trainer.learning.outcome import CandidateKind, CandidateReport
from services.trainer.models.function import Function
from services.trainer.windows import Rows

Clock = Callable[[], float]
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Chosen:
    """The session's challenger: its function, the trial that it came from, and the reports on both candidates."""

    function: Function
    trial: Trial
    reports: tuple[CandidateReport, CandidateReport]


def choose(material: Material, parent: Parent | None, sessions: int, clock: Clock) -> Chosen:
    """The candidate that does better on what the parent never saw of choose, fitted on all rows before the holdout.

    With fewer than CHOOSE_ROWS such rows, and between equals, it is the new model. `clock` measures CPU seconds.
    """
    rows = material.windows.choose.rows()
    if parent is not None:
        rows = rows[parent.unseen[rows]]
    scratch = _run(lambda: scratch_trial(material, steps_to_try(sessions, parent.step if parent else None)), clock)
    skipped = transfer_skipped(material, parent) if parent else "no parent"
    transfer = _run(lambda: transfer_trial(material, parent), clock) if parent and not skipped else None
    if transfer and len(rows) < CHOOSE_ROWS:
        skipped = f"{len(rows)} rows of choose that the parent never saw, {CHOOSE_ROWS} needed to compare"

    scratch_score = _score(material, scratch.made, rows)
    transfer_score = _score(material, transfer.made, rows) if transfer else math.nan
    if parent and transfer and not skipped and transfer_score < scratch_score:
        trial, final = transfer.made, _run(lambda: transfer_final(material, parent), clock)
        carried, spent = True, (scratch.seconds, transfer.seconds + final.seconds)
    else:
        trial, final = scratch.made, _run(lambda: scratch_final(material, scratch.made), clock)
        carried, spent = False, (scratch.seconds + final.seconds, transfer.seconds if transfer else 0.0)
    reports = (
        _report("transfer", transfer.made if transfer else None, transfer_score, len(rows), spent[1], carried, skipped),
        _report("scratch", scratch.made, scratch_score, len(rows), spent[0], not carried, ""),
    )
    return Chosen(final.made, trial, reports)


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


def _score(material: Material, trial: Trial, rows: Rows) -> float:
    """The Brier score on `rows`; nan without rows."""
    return brier(trial.function.probability(material.X[rows]), material.y[rows])
