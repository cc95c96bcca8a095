"""The two candidates of a session, and what both are made of.

The parent's function carried on (transfer.py) and a new one (scratch.py) both end in a head that was fitted on margins
of rows that the fitted part had not seen. Each is first fitted without the choose window, to be compared there; only
the chosen one is fitted on all rows before the holdout.
"""

from __future__ import annotations

from dataclasses import dataclass

from ratchet.proof.scores import brier
from services.trainer.learning.outcome import Correction, TrialReport
from services.trainer.models.function import Function
from services.trainer.models.port import Family, Floats, Params, Sample
from services.trainer.windows import Rows, Windows


@dataclass(frozen=True, eq=False)
class Material:
    """What both candidates are made of: X float64[n, k] under `columns`, and labels y float64[n], NaN where unknown.

    `reads`: the columns that a new model reads; None: all of them.
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
        return tuple(range(len(self.columns)))

    @property
    def read(self) -> tuple[int, ...]:
        """The columns that a new model reads."""
        return self.all if self.reads is None else self.reads

    def score(self, function: Function, rows: Rows) -> float:
        """The Brier score on `rows`; nan without rows."""
        return brier(function.probability(self.X, rows), self.y[rows])

    def sample(self, rows: Rows, reads: tuple[int, ...], weight: Floats | None = None) -> Sample:
        """The rows to fit, as a family takes them: with the columns that it reads."""
        return Sample(self.X[:, list(reads)], self.y, rows, weight)


@dataclass(frozen=True, eq=False)
class Emphasis:
    """Rows that count more because the parent erred on their like: `weight` float64[n], in words, for the record."""

    weight: Floats
    description: str


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate as it is compared: `function` knows nothing of the choose window.

    `honest` was not fitted on `honest_rows` (at most its head was): importance is measured there. `emphasis`: the rows
    that counted more in its fits. `trials`: what its study tried.
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
