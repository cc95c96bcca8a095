"""The two candidates of a session, and what both are made of.

The parent's function carried on (transfer.py) and a new one (scratch.py) both end in a calibration that was fitted on
margins of rows that the fitted part had not seen. Each is first fitted without the choose window, to be compared there;
only the chosen one is fitted on all rows before the holdout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.scoring.columns import ONLINE_LOG_ODDS
from ratchet.scoring.models.function import Function
from ratchet.scoring.models.port import Family, Floats, Params, Sample
from ratchet.statistics.scores import Interval, brier
from services.trainer.learning.growth import reads
from services.trainer.learning.outcome import Correction, TrialReport
from services.trainer.learning.windows import Rows, Windows


@dataclass(frozen=True, eq=False)
class Material:
    """What both candidates are made of: X float64[n, k] under `columns`, and labels y float64[n], NaN where unknown.

    `reads`: the columns that a new model reads; None: all that may be read.
    """

    X: Floats
    y: Floats
    columns: tuple[str, ...]
    windows: Windows
    family: Family
    seed: int
    reads: tuple[int, ...] | None = None

    @property
    def all(self) -> tuple[int, ...]:
        """The columns that a part may read."""
        return reads(self.columns, ())[0]

    @property
    def read(self) -> tuple[int, ...]:
        """The columns that a new model reads."""
        return self.all if self.reads is None else self.reads

    @property
    def start(self) -> int | None:
        """The column of the log-odds that a model on the margin starts from; None where there is none."""
        return self.columns.index(ONLINE_LOG_ODDS) if ONLINE_LOG_ODDS in self.columns else None

    def score(self, function: Function, rows: Rows) -> float:
        """The Brier score on `rows`; nan without rows."""
        return brier(function.probability(self.X, rows), self.y[rows])

    def sample(
        self, rows: Rows, reads: tuple[int, ...], weight: Floats | None = None, start: int | None = None
    ) -> Sample:
        """The rows to fit, as a family takes them: with the columns that it reads, on the margin of column `start`."""
        margin = None if start is None else np.nan_to_num(self.X[rows, start])
        return Sample(self.X[:, list(reads)], self.y, rows, weight, margin)


@dataclass(frozen=True, eq=False)
class Emphasis:
    """Rows that count more because the parent erred on their like: `weight` float64[n], in words, for the record."""

    weight: Floats
    description: str


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate as it is compared: `function` knows nothing of the choose window.

    `honest` was not fitted on `honest_rows` (at most its calibration was): importance is measured there. `emphasis`:
    the rows that counted more in its fits. `trials`: what its study tried. `smaller_step_gain`: the Brier loss on tune
    of the step offered less that of the step taken, where that is smaller.
    """

    description: str
    function: Function
    tune_score: float | None
    step: int
    params: Params
    honest: Function
    honest_rows: Rows
    emphasis: Emphasis | None = None
    trials: tuple[TrialReport, ...] = ()
    correction: Correction | None = None
    smaller_step_gain: Interval | None = None
