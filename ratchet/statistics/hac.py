"""Variance of a mean of autocorrelated numbers (HAC: heteroskedasticity and autocorrelation consistent).

The long-run variance v estimates n * Var(mean of x); the standard error of the mean is sqrt(v / n).
Sources: Newey & West 1987; Diebold & Mariano 1995; Harvey, Leybourne & Newbold 1997.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ratchet.errors import InvalidInput
from ratchet.statistics.arrays import Floats

Kernel = Literal["bartlett", "rectangular"]

_RELATIVE_ZERO = 1e-24


def newey_west_lags(n: int) -> int:
    """The usual number of Bartlett lags for n values, floor(4 (n/100)^(2/9))."""
    return int(4.0 * (n / 100.0) ** (2.0 / 9.0))


def long_run_variance(x: Floats, lags: int, kernel: Kernel = "bartlett") -> float:
    """The long-run variance of `x`, shape (n,), with `lags` autocovariances (at most n - 1 are used).

    Autocovariances are divided by n. Bartlett weights 1 - k / (lags + 1) never give a negative result;
    rectangular weights may. Numbers equal up to rounding have variance 0. InvalidInput when n = 0 or lags < 0.
    """
    n = len(x)
    if n == 0 or lags < 0:
        raise InvalidInput(f"long-run variance of {n} values with {lags} lags: needs a value and lags >= 0")
    centred = x - x.mean()
    used = min(lags, n - 1)
    covariances = [float((centred[k:] * centred[: n - k]).sum()) / n for k in range(used + 1)]
    if covariances[0] <= _RELATIVE_ZERO * float(np.abs(x).max()) ** 2:
        return 0.0
    weights = [1.0 if kernel == "rectangular" else 1.0 - k / (lags + 1) for k in range(used + 1)]
    return covariances[0] + 2.0 * sum(w * g for w, g in zip(weights[1:], covariances[1:], strict=True))


def forecast_variance(d: Floats, horizon: int) -> float:
    """The long-run variance of loss differences `d` of forecasts `horizon` bars ahead; 0 when there is none.

    Forecasts h ahead overlap for h - 1 bars, so h - 1 rectangular lags, as Harvey, Leybourne & Newbold do; the Bartlett
    kernel replaces an estimate that is not positive.
    """
    variance = long_run_variance(d, horizon - 1, "rectangular")
    return variance if variance > 0.0 else max(0.0, long_run_variance(d, horizon - 1, "bartlett"))
