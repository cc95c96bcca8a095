"""The betting e-value: the wealth of a bet on the contender, on out-of-sample bars.

Each bar is a bet with odds that are fair or worse when the contender is no better; a bettor who starts with 1 reaches
20 at any time by luck in at most one run of 20 (Ville's inequality). Stakes grow with the disagreement of the two
models, which is known before the outcome. With horizon h > 1 outcomes overlap: h separate bettors take every h-th bar
each and share the result, exact at a fixed time and approximate under optional stopping. Source: after Choe & Ramdas
2023, "Comparing sequential forecasters", Operations Research.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from ratchet.errors import InvalidInput
from ratchet.statistics.arrays import Flags, Floats, same_length

LAMBDAS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
MAX_SHARE = 0.95

_LOG_LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True)
class EValues:
    """`contender`: evidence that B is better than A; `champion`: that A is better than B. Both are finite."""

    contender: float
    champion: float


def e_values(p_a: Floats, p_b: Floats, y: Flags, horizon: int) -> EValues:
    """The e-values of a pair in both directions; 1 and 1 without bars or if the models always agree.

    `p_a`, `p_b`: probabilities of champion and contender, shape (n,); `y`: outcomes, shape (n,); in time order. A value
    above the largest float is reported as the largest float. InvalidInput when horizon < 1 or the lengths differ.
    """
    if horizon < 1:
        raise InvalidInput(f"horizon is {horizon} bars; use 1 or more", fields={"horizon": "out of range"})
    if same_length(p_a=p_a, p_b=p_b, y=y) == 0:
        return EValues(1.0, 1.0)
    total = p_a + p_b
    most = np.maximum(total, 2.0 - total)
    win = np.sign(p_a - p_b) * (total - 2.0 * y) / most
    staked = _staked(np.abs(p_a - p_b) * most)
    return EValues(_wealth(staked * win, horizon), _wealth(staked * -win, horizon))


def loss_difference(p_a: Floats, p_b: Floats, y: Flags) -> Floats:
    """Squared error of A minus squared error of B on each bar, shape (n,): positive when B is better."""
    outcome = y.astype(np.float64)
    error_a, error_b = p_a - outcome, p_b - outcome
    return error_a * error_a - error_b * error_b


def _staked(c: Floats) -> Floats:
    """The share of the wealth at risk for each lambda on each bar, shape (7, n).

    `c`, shape (n,), is the largest possible |d| of a bar; the share is s c = min(lambda c / mean c so far, .95). A win
    is d / c in [-1, 1], so that share times win is s d: never a division by a small c.
    """
    so_far = np.cumsum(c)
    relative = c * np.arange(1, len(c) + 1) / np.where(so_far > 0.0, so_far, 1.0)
    shares: Floats = np.minimum(np.multiply.outer(np.array(LAMBDAS), relative), MAX_SHARE)
    return shares


def _wealth(gains: Floats, horizon: int) -> float:
    """The mean over lambdas and over residues of bar index mod horizon of prod(1 + gain); gains: shape (7, n)."""
    factors = np.log1p(gains)
    logs = np.concatenate([factors[:, residue::horizon].sum(axis=1) for residue in range(horizon)])
    largest = float(logs.max())
    log_mean = largest + math.log(float(np.exp(logs - largest).mean()))
    return math.exp(log_mean) if log_mean < _LOG_LARGEST else sys.float_info.max
