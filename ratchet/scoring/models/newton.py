"""Ridge logistic regression by Newton's method, with an offset and a centre. Source: McCullagh & Nelder 1989."""

from __future__ import annotations

import numpy as np

from ratchet.scoring.models.port import Floats, sigmoid

_ROUNDS = 50
_TOLERANCE = 1e-12
_HALVINGS = 30


def ridge_logistic(
    design: Floats,
    y: Floats,
    penalty: Floats,
    centre: Floats | None = None,
    margin: Floats | None = None,
    weight: Floats | None = None,
) -> Floats:
    """The weights float64[k] of least penalised log loss of outcomes `y` at log-odds margin + design · weights.

    Args:
        design: float64[m, k].
        y: 0.0 and 1.0, float64[m].
        penalty: on half the squared distance of each weight from `centre`, float64[k], at least 0.
        centre: float64[k]; None: zeros.
        margin: offset of the log-odds, float64[m]; None: zeros.
        weight: of the rows, float64[m]; None: ones.
    """
    centre = np.zeros(design.shape[1]) if centre is None else centre
    margin = np.zeros(len(y)) if margin is None else margin
    weight = np.ones(len(y)) if weight is None else weight

    def loss(weights: Floats) -> float:
        z = margin + design @ weights
        losses = weight * (np.logaddexp(0.0, z) - y * z)
        return float(losses.sum() + 0.5 * np.sum(penalty * (weights - centre) ** 2))

    weights = centre.copy()
    least = loss(weights)
    for _ in range(_ROUNDS):
        p = sigmoid(margin + design @ weights)
        gradient = design.T @ (weight * (p - y)) + penalty * (weights - centre)
        curvature = (design.T * (weight * p * (1.0 - p))) @ design + np.diag(penalty + _TOLERANCE)
        step = np.linalg.solve(curvature, gradient)
        before = least
        for halvings in range(_HALVINGS):
            moved: Floats = weights - step * 0.5**halvings
            least = loss(moved)
            if least <= before:
                weights = moved
                break
        else:
            return weights
        if before - least < _TOLERANCE * max(1.0, abs(before)):
            break
    return weights
