"""The learned function of a model version: a chain that each session may lengthen.

    z_0 = 0,   z_k = a·z_(k−1)(X[:, :n_(k−1)]) + b·s_k(X[:, :n_k]) + c

Columns are named, ordered and only ever appended, so that every link reads its own first n_k columns whatever
the later ones have added. Every z_k is clipped to ± MAX_MARGIN. A model trained from scratch is a chain of one link.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.errors import InvalidInput
from services.trainer.models.port import MAX_MARGIN, Fitted, Floats, sigmoid


@dataclass(frozen=True, eq=False)
class Link:
    """One step of the chain; `fitted` is None where only the calibration moved."""

    columns: int
    fitted: Fitted | None
    a: float
    b: float
    c: float


@dataclass(frozen=True, eq=False)
class Function:
    """`columns` names what the columns of X must be, in order."""

    columns: tuple[str, ...]
    links: tuple[Link, ...]

    def margin(self, X: Floats) -> Floats:
        """Log-odds of label 1, float64[n], for X float64[n, k] with k at least the number of columns."""
        if X.ndim != 2 or X.shape[1] < len(self.columns):
            raise InvalidInput(f"features of shape {X.shape} for a model of {len(self.columns)} columns")
        z = np.zeros(len(X))
        for link in self.links:
            z = link.a * z + link.c
            if link.fitted is not None:
                z = z + link.b * link.fitted.margin(X[:, : link.columns])
            z = np.clip(z, -MAX_MARGIN, MAX_MARGIN)
        return z

    def probability(self, X: Floats) -> Floats:
        """Probabilities of label 1, float64[n]."""
        return sigmoid(self.margin(X))

    def extended(self, columns: tuple[str, ...], link: Link) -> Function:
        """This function with one more link over `columns`, which begin with its own."""
        if columns[: len(self.columns)] != self.columns:
            raise InvalidInput("columns are appended along a lineage, never reordered or removed")
        return Function(columns, (*self.links, link))
