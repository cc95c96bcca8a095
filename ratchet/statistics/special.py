"""Special functions for the tests, for scalars, without scipy.

Absolute error below 1e-10 against scipy for shapes up to some 10,000. Source: Press et al., Numerical Recipes, 3rd ed.,
sections 6.1 and 6.4 (Lentz's continued fraction).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

from ratchet.errors import InvalidInput

_EPSILON = 1e-16
_TINY = 1e-300
_MAX_TERMS = 100_000
_MAX_STEPS = 1_100
_EXPANDABLE = 20


def betainc(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b): P(X <= x) for X ~ Beta(a, b).

    InvalidInput unless a > 0, b > 0 and 0 <= x <= 1.
    """
    if not (0 < a < math.inf and 0 < b < math.inf and 0 <= x <= 1):
        raise InvalidInput(f"betainc({a}, {b}, {x}): needs a > 0, b > 0 and x in 0 to 1")
    if x in (0.0, 1.0):
        return float(x)
    if x < (a + 1.0) / (a + b + 2.0):
        return _front(a, b, x) * _continued_fraction(a, b, x) / a
    return 1.0 - _front(a, b, x) * _continued_fraction(b, a, 1.0 - x) / b


def betaincinv(a: float, b: float, p: float, start: float | None = None) -> float:
    """The x with betainc(a, b, x) = p: Newton's steps, bisected outside of the bracket.

    `start`, within (0, 1): the first x, by default the mean of the distribution. It affects the run time, and the
    result in its last digits at most. InvalidInput unless a > 0, b > 0 and 0 <= p <= 1.
    """
    if not (0 < a < math.inf and 0 < b < math.inf and 0 <= p <= 1):
        raise InvalidInput(f"betaincinv({a}, {b}, {p}): needs a > 0, b > 0 and p in 0 to 1")
    if p in (0.0, 1.0):
        return float(p)
    low, high, x = 0.0, 1.0, a / (a + b) if start is None else start
    for _ in range(_MAX_STEPS):
        excess = betainc(a, b, x) - p
        if excess == 0.0:
            return x
        low, high = (low, x) if excess > 0 else (x, high)
        slope = _front(a, b, x) / (x * (1.0 - x))
        if abs(excess) <= slope * _EPSILON * x:
            return x
        step = x - excess / slope if slope > 0 else low
        following = step if low < step < high else 0.5 * (low + high)
        if following in (low, high) or abs(following - x) <= _EPSILON * x:
            return following
        x = following
    return x


def student_t_sf(t: float, df: float) -> float:
    """P(T > t) for Student's t with `df` > 0 degrees of freedom."""
    if not 0 < df < math.inf or math.isnan(t):
        raise InvalidInput(f"student_t_sf({t}, {df}): needs a number t and df > 0")
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    square = t * t
    if square < 1.0:
        upper = 0.5 - 0.5 * betainc(0.5, 0.5 * df, square / (df + square))
    else:
        upper = 0.5 * betainc(0.5 * df, 0.5, df / (df + square))
    return upper if t > 0 else 1.0 - upper


@lru_cache(1024)
def student_t_ppf(p: float, df: float) -> float:
    """The t with P(T <= t) = p; InvalidInput unless 0 < p < 1 and df > 0."""
    if not (0 < p < 1 and 0 < df < math.inf):
        raise InvalidInput(f"student_t_ppf({p}, {df}): needs p strictly between 0 and 1 and df > 0")
    tail = min(p, 1.0 - p)
    if tail > 0.25:
        y = betaincinv(0.5, 0.5 * df, 1.0 - 2.0 * tail)
        t = math.sqrt(df * y / (1.0 - y))
    else:
        x = betaincinv(0.5 * df, 0.5, 2.0 * tail, _near_quantile(tail, df))
        t = math.sqrt(df * (1.0 - x) / x)
    return t if p > 0.5 else -t


def _near_quantile(tail: float, df: float) -> float | None:
    """df / (df + t^2) for the t with P(T > t) = `tail`, to some six digits; None for a df too small for that.

    Source: the expansion of Cornish & Fisher, Abramowitz & Stegun 26.7.5.
    """
    if df < _EXPANDABLE:
        return None
    z = -normal_ppf(tail)
    first = z * (z**2 + 1) / 4
    second = z * (5 * z**4 + 16 * z**2 + 3) / 96
    third = z * (3 * z**6 + 19 * z**4 + 17 * z**2 - 15) / 384
    t = z + (first + (second + third / df) / df) / df
    return df / (df + t * t)


@lru_cache(1024)
def normal_ppf(p: float) -> float:
    """The quantile of the standard normal; InvalidInput unless 0 < p < 1."""
    if not 0 < p < 1:
        raise InvalidInput(f"normal_ppf({p}): needs p strictly between 0 and 1")
    return NormalDist().inv_cdf(p)


def _front(a: float, b: float, x: float) -> float:
    """x^a (1-x)^b / B(a, b)."""
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta)


def _continued_fraction(a: float, b: float, x: float) -> float:
    c = 1.0
    d = _reciprocal(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for term in (even, odd):
            d = _reciprocal(1.0 + term * d)
            c = 1.0 + term / c
            c = c if abs(c) > _TINY else _TINY
            value *= d * c
        if abs(d * c - 1.0) <= 2 * _EPSILON:
            break
    return value


def _reciprocal(value: float) -> float:
    return 1.0 / (value if abs(value) > _TINY else _TINY)
