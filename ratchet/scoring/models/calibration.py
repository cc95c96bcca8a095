"""Calibration of every model: a small ridge logistic regression on margins.

Without calibration, an overconfident model loses to any later, better-shrunk one, and a series without signal promotes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.scoring.models.newton import ridge_logistic
from ratchet.scoring.models.port import Floats, logit

SLOPE_RIDGE = 10.0
MARGIN_RIDGE = 200.0
OFFSET_RIDGE = 200.0
"""Penalties on the squared distance from the anchor, in log-likelihood: of the slope of a part's margin, of the slope
of the initial log-odds, and of the offset.

The log-odds of online@baseline are calibrated label by label: a few hundred rows determine their slope poorly. On seven
series, range and volatility, at two dates each, a ridge of 10, 50, 200 on it gave har .2035, .2009, .2004, logistic
.2030, .2005, .2001 and xgboost .2032, .2001, .1995 of Brier score on the 1,000 bars after (online alone .1997).

The offset has a strong penalty: labels come in regimes, so that the base rate of the last 60 to 250 bars predicts the
next one poorly. On 16 windows of AAPL, GOOG, IBM and MSFT a free offset cost a forest .017 of Brier score on range,
.046 on volatility, .004 on volume and direction, and helped on none.
"""


@dataclass(frozen=True)
class Calibration:
    """z = slopes · margins + offset."""

    slopes: tuple[float, ...]
    offset: float

    def margin(self, margins: Floats) -> Floats:
        """float64[n] for margins float64[n, k]."""
        z: Floats = margins @ np.asarray(self.slopes) + self.offset
        return z


def fit_calibration(
    margins: Floats,
    y: Floats,
    anchor: tuple[float, ...],
    slope_ridges: tuple[float, ...] | None = None,
    offset_ridge: float = OFFSET_RIDGE,
) -> Calibration:
    """Fits slopes of at least 0 shrunk towards `anchor` (by SLOPE_RIDGE, unless given), the offset towards 0 (ridge 0:
    free).

    `margins` is float64[n, k], `y` float64[n] of 0.0 and 1.0, with both classes. Margins with a negative slope are left
    out.
    """
    design = np.column_stack([margins, np.ones(len(y))])
    slope_ridges = slope_ridges or (SLOPE_RIDGE,) * len(anchor)
    penalty = np.array([*slope_ridges, offset_ridge])
    weights = ridge_logistic(design, y, penalty, np.array([*anchor, 0.0]))
    kept = [place for place, slope in enumerate(weights[:-1]) if slope >= 0.0]
    if len(kept) == len(anchor):
        return Calibration(tuple(float(slope) for slope in weights[:-1]), float(weights[-1]))
    ridges = tuple(slope_ridges[place] for place in kept)
    rest = fit_calibration(margins[:, kept], y, tuple(anchor[place] for place in kept), ridges, offset_ridge)
    slopes = dict(zip(kept, rest.slopes, strict=True))
    return Calibration(tuple(slopes.get(place, 0.0) for place in range(len(anchor))), rest.offset)


def frequency_calibration(width: int, y: Floats) -> Calibration:
    """The calibration of `width` margins that always answers the frequency of label 1 in `y`, float64[n]."""
    return Calibration((0.0,) * width, float(logit(np.array([(float(np.sum(y)) + 1.0) / (len(y) + 2.0)]))[0]))
