"""Recursive logistic regression: one Newton step a label, with exponential forgetting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.scoring.data.bars import Floats

FORGETTING = 0.999


@dataclass(frozen=True, eq=False)
class RecursiveNewton:
    """State of the recursion: weights float64[k], inverse curvature float64[k, k], inputs with unknown labels, and the
    number of processed bars.

    Recursive least squares on the local quadratic of the log loss. Source: Ljung & Söderström 1983, chapter 2; Sherman
    & Morrison 1950 for the inverse.
    """

    weights: Floats
    inverse: Floats
    pending: Floats
    bars: int = 0

    @classmethod
    def initial(cls, width: int, ridge: float, prior: Floats | None = None) -> RecursiveNewton:
        """The state before the first bar: `prior`, float64[width], with curvature `ridge`; None: zeros."""
        weights = np.zeros(width) if prior is None else prior
        return cls(weights, np.eye(width) / ridge, np.empty((0, width)))

    def run(self, Z: Floats, y: Floats, horizon: int, first: int) -> tuple[Floats, RecursiveNewton]:
        """The log-odds of each bar of Z, float64[m], NaN before bar `first`; and the state after them.

        Args:
            Z: inputs of the bars from `self.bars` on, float64[m, k].
            y: labels of all bars, float64[n], NaN where unknown; that of bar t is used at bar t + horizon. As labels
                overlap, each weighs 1 / horizon, in the step and in the curvature.
        """
        begun, stop = self.bars, self.bars + len(Z)
        inputs = np.concatenate([self.pending, Z])
        offset = begun - len(self.pending)
        weights, inverse = self.weights.copy(), self.inverse.copy()
        z = np.full(len(Z), np.nan)
        for t in range(max(begun, first), stop):
            j = t - horizon
            if j >= first and y[j] == y[j]:
                x = inputs[j - offset]
                p = 1.0 / (1.0 + np.exp(-(x @ weights)))
                inverse /= FORGETTING
                direction = inverse @ x
                curvature = p * (1.0 - p) / horizon
                gain = direction / (1.0 + curvature * (x @ direction))
                inverse -= np.outer(gain, direction) * curvature
                weights += gain * ((y[j] - p) / horizon)
            z[t - begun] = inputs[t - offset] @ weights
        return z, RecursiveNewton(weights, inverse, inputs[len(inputs) - min(horizon, len(inputs)) :], stop)
