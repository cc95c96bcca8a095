"""The test agrees with the papers' formulas written out, and says p = 1 where it can't tell."""

import math

import numpy as np
import pytest
from scipy import stats

from ratchet.errors import InvalidInput
from ratchet.statistics.diebold_mariano import DmResult, diebold_mariano


def written_out(d: list[float], h: int) -> tuple[float, float]:
    """Harvey, Leybourne & Newbold 1997, equations 1 to 9, in loops."""
    n = len(d)
    mean = sum(d) / n
    gamma = [sum((d[t] - mean) * (d[t - k] - mean) for t in range(k, n)) / n for k in range(h)]
    variance = (gamma[0] + 2 * sum(gamma[1:])) / n
    s1 = mean / math.sqrt(variance)
    corrected = s1 * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    return corrected, float(stats.t.sf(corrected, n - 1))


@pytest.mark.parametrize(("n", "h", "seed"), [(8, 1, 1), (63, 1, 2), (120, 5, 3), (500, 5, 4), (120, 20, 7)])
def test_it_agrees_with_the_formulas_written_out(n: int, h: int, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0.05, 1.0, n + h)
    d = np.convolve(noise, np.ones(h) / h, "same")[:n]
    statistic, p = written_out(d.tolist(), h)
    assert diebold_mariano(d, h).statistic == pytest.approx(statistic, rel=1e-9)
    assert diebold_mariano(d, h).p == pytest.approx(p, abs=1e-10)


def test_one_bar_ahead_is_the_one_sample_t_test() -> None:
    d = np.random.default_rng(5).normal(0.2, 1.0, 40)
    oracle = stats.ttest_1samp(d, 0.0, alternative="greater")
    assert diebold_mariano(d, 1).statistic == pytest.approx(oracle.statistic)
    assert diebold_mariano(d, 1).p == pytest.approx(oracle.pvalue)


def test_it_is_one_sided_and_antisymmetric() -> None:
    d = np.random.default_rng(6).normal(0.3, 1.0, 100)
    better, worse = diebold_mariano(d, 3), diebold_mariano(-d, 3)
    assert better.statistic == -worse.statistic > 0
    assert better.p + worse.p == pytest.approx(1.0)
    assert better.p < 0.05


@pytest.mark.parametrize(
    ("d", "horizon"),
    [
        (np.array([]), 1),
        (np.linspace(0.1, 0.9, 7), 1),
        (np.linspace(0.1, 0.9, 9), 5),
        (np.zeros(100), 1),
        (np.full(100, 0.1), 1),
    ],
    ids=["no bars", "7 bars", "fewer than two horizons", "no difference", "no variance"],
)
def test_what_can_not_be_tested_has_p_1(d: np.ndarray, horizon: int) -> None:
    assert diebold_mariano(d, horizon) == DmResult(0.0, 1.0)


def test_a_horizon_below_1_is_refused() -> None:
    with pytest.raises(InvalidInput, match="horizon is 0"):
        diebold_mariano(np.zeros(20), 0)
