"""The special functions agree with scipy to 1e-10."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special, stats

from ratchet.errors import InvalidInput
from ratchet.statistics.special import betainc, betaincinv, normal_ppf, student_t_ppf, student_t_sf

SHAPES = (0.5, 1.0, 2.5, 30.0, 400.5, 9_000.0)
POINTS = (1e-9, 0.001, 0.2, 0.5, 0.77, 0.999, 1 - 1e-9)
WELL_CONDITIONED = POINTS[1:-1]


@pytest.mark.parametrize("a", SHAPES)
@pytest.mark.parametrize("b", SHAPES)
def test_incomplete_beta_and_its_inverse_agree_with_scipy(a: float, b: float) -> None:
    for x in POINTS:
        assert betainc(a, b, x) == pytest.approx(special.betainc(a, b, x), abs=1e-10)
    for p in WELL_CONDITIONED:
        assert betaincinv(a, b, p) == pytest.approx(special.betaincinv(a, b, p), abs=1e-10)


def test_incomplete_beta_at_the_ends() -> None:
    assert (betainc(2, 3, 0), betainc(2, 3, 1)) == (0.0, 1.0)
    assert (betaincinv(2, 3, 0), betaincinv(2, 3, 1)) == (0.0, 1.0)


@given(st.floats(0.3, 500), st.floats(0.3, 500), st.floats(1e-6, 1 - 1e-6))
@example(1.0, 0.375, 0.99999)
def test_the_inverse_undoes_the_incomplete_beta(a: float, b: float, p: float) -> None:
    """As exactly as floats allow: where the function is so steep that the next float jumps over p, x is beside it."""
    x = betaincinv(a, b, p)
    below, above = betainc(a, b, math.nextafter(x, 0.0)), betainc(a, b, math.nextafter(x, 1.0))
    assert below - 1e-10 <= p <= above + 1e-10


@pytest.mark.parametrize("df", [1, 2, 7, 62, 649, 5_000])
def test_student_t_agrees_with_scipy(df: int) -> None:
    for t in (-40.0, -3.0, -1.0, 0.0, 1e-4, 0.3, 0.999, 1.0, 1.96, 13.8, 25.0):
        assert student_t_sf(t, df) == pytest.approx(stats.t.sf(t, df), abs=1e-10)
    for p in (1e-6, 0.025, 0.2, 0.2501, 0.49, 0.5 - 1e-9, 0.5, 0.6, 0.975, 0.9999):
        assert student_t_ppf(p, df) == pytest.approx(stats.t.ppf(p, df), abs=1e-10, rel=1e-10)


@pytest.mark.parametrize("start", [1e-12, 0.3, 1 - 1e-12])
def test_where_the_inverse_begins_moves_no_digit_that_counts(start: float) -> None:
    for a, b, p in ((0.5, 0.5, 0.3), (60.0, 0.5, 0.05), (400.5, 2.5, 0.9)):
        assert betaincinv(a, b, p, start) == pytest.approx(betaincinv(a, b, p), rel=1e-12)


def test_close_to_zero_no_digit_is_lost() -> None:
    """With one degree of freedom P(T > t) = 1/2 - arctan(t)/pi; scipy's own value is off by 1e-9 here."""
    assert student_t_sf(-1e-8, 1) == pytest.approx(0.5 + math.atan(1e-8) / math.pi, abs=1e-15)


def test_small_tails_keep_their_relative_precision() -> None:
    assert student_t_sf(13.8, 649) == pytest.approx(stats.t.sf(13.8, 649), rel=1e-9, abs=0)


def test_student_t_of_infinity() -> None:
    assert (student_t_sf(math.inf, 3), student_t_sf(-math.inf, 3)) == (0.0, 1.0)


@pytest.mark.parametrize("p", [1e-12, 0.01, 0.5, 0.975, 1 - 1e-9])
def test_normal_quantile_agrees_with_scipy(p: float) -> None:
    assert normal_ppf(p) == pytest.approx(stats.norm.ppf(p), abs=1e-10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: betainc(0, 1, 0.5),
        lambda: betainc(1, 1, 1.5),
        lambda: betaincinv(1, -1, 0.5),
        lambda: betaincinv(1, 1, math.nan),
        lambda: student_t_sf(math.nan, 3),
        lambda: student_t_sf(1, 0),
        lambda: student_t_ppf(1.0, 3),
        lambda: normal_ppf(0.0),
    ],
)
def test_arguments_out_of_range_are_refused(call) -> None:
    with pytest.raises(InvalidInput):
        call()
