"""The two candidates of a session, and their common data.

Transfer (transfer.py) extends the parent's function, scratch (scratch.py) fits a new one; both end in a calibration,
fitted on margins of rows outside the fit of the calibrated part. Each candidate is first fitted without the choose
window, for the comparison there; only the selected one is refitted on all rows before the holdout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.models.function import Function
from ratchet.scoring.models.port import Family, Floats, Params, Sample
from ratchet.statistics.scores import Interval, brier
from services.trainer.learning.model_columns import readable_columns
from services.trainer.learning.outcome import CandidateChange, Correction, ErrorSlice, TrialReport
from services.trainer.learning.windows import Rows, Windows


@dataclass(frozen=True, eq=False)
class CandidateData:
    """Training data of both candidates: X float64[n, k] under `columns`, and labels y float64[n], NaN where unknown.

    `reads`: indices of the columns of a new model; None: all readable columns.
    """

    X: Floats
    y: Floats
    columns: tuple[str, ...]
    windows: Windows
    family: Family
    seed: int
    reads: tuple[int, ...] | None = None

    @property
    def readable_columns(self) -> tuple[int, ...]:
        """Indices of the columns that a part may read."""
        return readable_columns(self.columns, ())[0]

    @property
    def read_columns(self) -> tuple[int, ...]:
        """Indices of the columns that a new model reads."""
        return self.readable_columns if self.reads is None else self.reads

    @property
    def start_column(self) -> int | None:
        """Index of the log-odds column, the initial margin of a model; None without one."""
        return self.columns.index(ONLINE_LOG_ODDS) if ONLINE_LOG_ODDS in self.columns else None

    def score(self, function: Function, rows: Rows) -> float:
        """The Brier score on `rows`; nan without rows."""
        return brier(function.probability(self.X, rows), self.y[rows])

    def sample(
        self, rows: Rows, reads: tuple[int, ...], weight: Floats | None = None, start: int | None = None
    ) -> Sample:
        """The sample of `rows` for a model family, with columns `reads` and the initial margin of column `start`."""
        margin = None if start is None else np.nan_to_num(self.X[rows, start])
        return Sample(self.X[:, list(reads)], self.y, rows, weight, margin)


@dataclass(frozen=True, eq=False)
class RowWeights:
    """Weights of training rows, float64[n], larger in the `slices` in which the parent was biased."""

    weight: Floats
    slices: tuple[ErrorSlice, ...]


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate before the comparison: `function` was fitted without the choose window.

    `validation_function` was not fitted on `validation_rows`, except perhaps its calibration: importance is measured
    there. `row_weights`: applied in its fits. `trials`: settings of its study. `smaller_step_gain`: the Brier loss on
    tune of the offered step less the loss of the selected step, if that step is smaller.
    """

    change: CandidateChange
    function: Function
    tune_score: float | None
    step: int
    params: Params
    validation_function: Function
    validation_rows: Rows
    row_weights: RowWeights | None = None
    trials: tuple[TrialReport, ...] = ()
    correction: Correction | None = None
    smaller_step_gain: Interval | None = None
