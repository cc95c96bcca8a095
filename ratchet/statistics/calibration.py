"""Comparison of two forecasts after recalibration: separates skill from calibration.

Calibration is isotonic regression: the non-decreasing step function of the forecast with the least squared error. It
depends on the order of the forecasts alone, so a strictly increasing recalibration of a model does not change its
refit. One of the two models knows every bar before the scored ones. So both calibrations are fitted on the first half
of the scored bars and compared on the rest: the remaining difference is skill.

Counts are integers and sums have a fixed order: equal bytes on one machine give equal numbers to the last bit. Sources:
Ayer, Brunk, Ewing, Reid & Silverman 1955 (pool adjacent violators); Zadrozny & Elkan 2002.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ratchet.statistics.arrays import Flags, Floats
from ratchet.statistics.evalue import loss_difference
from ratchet.statistics.scores import UNDEFINED, Interval, defined, mean_difference, same_ranking

MIN_BARS = 60


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A fitted calibration: its distinct forecasts in increasing order, and the probability at each."""

    forecasts: Floats
    probabilities: Floats

    def __call__(self, p: Floats) -> Floats:
        """Calibrated probabilities of forecasts `p`, both shape (n,).

        Between two fitted forecasts the mean of their probabilities, beyond the outermost the outermost.
        """
        last = len(self.forecasts) - 1
        below = np.maximum(np.searchsorted(self.forecasts, p, "right") - 1, 0)
        above = np.minimum(np.searchsorted(self.forecasts, p, "left"), last)
        calibrated: Floats = 0.5 * (self.probabilities[below] + self.probabilities[above])
        return calibrated


def fit_isotonic(p: Floats, y: Flags) -> Isotonic:
    """The isotonic regression of outcomes `y` on forecasts `p`, both shape (n,), n > 0. Equal forecasts stay equal."""
    forecasts, place, bars = np.unique(p, return_inverse=True, return_counts=True)
    hits = np.bincount(place[y], minlength=len(forecasts))
    blocks: list[tuple[int, int, int]] = []
    for block_hits, block_bars in zip(hits.tolist(), bars.tolist(), strict=True):
        width = 1
        while blocks and blocks[-1][0] * block_bars >= block_hits * blocks[-1][1]:
            before_hits, before_bars, before_width = blocks.pop()
            block_hits, block_bars, width = block_hits + before_hits, block_bars + before_bars, width + before_width
        blocks.append((block_hits, block_bars, width))
    shares = np.array([block_hits / block_bars for block_hits, block_bars, _ in blocks])
    return Isotonic(forecasts, np.repeat(shares, [width for _, _, width in blocks]))


def refitted_difference(p_a: Floats, p_b: Floats, y: Flags, horizon: int) -> Interval:
    """The mean of A's less B's squared error after both are calibrated, with its interval; positive: B is better.

    `p_a`, `p_b`: probabilities of champion and contender, shape (n,); `y`: outcomes, shape (n,); in time order. The fit
    uses the first half without its last `horizon` bars, whose outcomes come later; the rest is compared. With fewer
    than 60 bars, or 20 of a class, in either part all three numbers are nan. Exactly 0, without limits, if both rank
    alike up to ties: clipping or rounding a recalibrated copy makes it neither more nor less skilled.
    """
    start = len(y) // 2
    known = max(start - horizon, 0)
    enough = min(known, len(y) - start) >= MIN_BARS and defined(y[:known]) and defined(y[start:])
    if not enough:
        return UNDEFINED
    if same_ranking(p_a, p_b):
        return Interval(0.0, math.nan, math.nan)
    refitted = [fit_isotonic(p[:known], y[:known])(p[start:]) for p in (p_a, p_b)]
    return mean_difference(loss_difference(refitted[0], refitted[1], y[start:]), horizon)
