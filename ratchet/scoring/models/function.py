"""The learned function of a model version: a chain of links, extended by sessions.

    z_0 = 0 or X[:, start],   z_k = a·z_(k−1)(X) + b·s_k(X[:, reads_k]) + c

Columns are named, ordered and only ever appended, so that a link's column indices stay valid. Every z_k is clipped to ±
MAX_MARGIN. A model trained from scratch is a chain of one link. A model on the margin starts from the log-odds of a
baseline, a column of X, and its links learn the residual.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ratchet.errors import InvalidInput
from ratchet.scoring.models.port import MAX_MARGIN, Fitted, Floats, Rows, sigmoid


@dataclass(frozen=True, eq=False)
class Link:
    """One step of the chain. `reads`: column indices of `fitted`; None for a calibration without a new part."""

    reads: tuple[int, ...]
    fitted: Fitted | None
    a: float
    b: float
    c: float


@dataclass(frozen=True, eq=False)
class Function:
    """`columns` names the columns of X, in order; `start`: index of the initial log-odds column, or None."""

    columns: tuple[str, ...]
    links: tuple[Link, ...]
    start: int | None = None

    def margin(self, X: Floats, rows: Rows) -> Floats:
        """Log-odds of label 1 at `rows`, float64[m]; X float64[n, k] holds every bar and at least the columns."""
        if X.ndim != 2 or X.shape[1] < len(self.columns):
            raise InvalidInput(f"features of shape {X.shape} for a model of {len(self.columns)} columns")
        z = np.zeros(len(rows)) if self.start is None else np.nan_to_num(X[rows, self.start])
        for link in self.links:
            z = link.a * z + link.c
            if link.fitted is not None:
                z = z + link.b * link.fitted.margin(X[:, list(link.reads)], rows)
            z = np.clip(z, -MAX_MARGIN, MAX_MARGIN)
        return z

    def probability(self, X: Floats, rows: Rows) -> Floats:
        """Probabilities of label 1 at `rows`, float64[m]."""
        return sigmoid(self.margin(X, rows))

    def trimmed(self) -> Function:
        """The same function of only those columns that it reads."""
        start = () if self.start is None else (self.start,)
        read = sorted({*start, *(column for link in self.links for column in link.reads)})
        place = {column: index for index, column in enumerate(read)}
        return Function(
            tuple(self.columns[column] for column in read),
            tuple(replace(link, reads=tuple(place[column] for column in link.reads)) for link in self.links),
            None if self.start is None else place[self.start],
        )

    @property
    def newest(self) -> Link | None:
        """The newest link with a fitted part."""
        return next((link for link in reversed(self.links) if link.fitted is not None), None)

    def extended(self, columns: tuple[str, ...], link: Link) -> Function:
        """This function with one more link over `columns`, which begin with its own."""
        if columns[: len(self.columns)] != self.columns:
            raise InvalidInput("columns are appended along a lineage, never reordered or removed")
        return replace(self, columns=columns, links=(*self.links, link))
