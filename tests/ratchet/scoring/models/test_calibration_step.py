"""The head shrinks what is overconfident and leaves what nothing speaks against."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from ratchet.scoring.models.calibration import fit_calibration, frequency_calibration
from ratchet.scoring.models.port import sigmoid


def test_it_is_the_minimum_of_its_penalised_likelihood() -> None:
    generator = np.random.default_rng(2)
    margins = generator.normal(size=(150, 2)) * 2
    y = (generator.random(150) < sigmoid(margins[:, 0] - 0.5)).astype(np.float64)

    def loss(w: np.ndarray) -> float:
        z = margins @ w[:2] + w[2]
        likelihood = np.sum(np.logaddexp(0, z) - y * z)
        return float(likelihood + 0.5 * (3.0 * ((w[:2] - [1.0, 0.0]) ** 2).sum() + 7.0 * w[2] ** 2))

    head = fit_calibration(margins, y, (1.0, 0.0), (3.0, 3.0), offset_ridge=7.0)
    assert [*head.slopes, head.offset] == pytest.approx(minimize(loss, np.zeros(3), tol=1e-12).x, abs=1e-5)


def test_an_overconfident_margin_without_signal_is_shrunk_towards_nothing() -> None:
    generator = np.random.default_rng(0)
    margins = generator.normal(size=(400, 1)) * 3
    y = (generator.random(400) < 0.5).astype(np.float64)
    assert abs(fit_calibration(margins, y, (0.0,)).slopes[0]) < 0.1


def test_more_ridge_stays_nearer_to_the_anchor() -> None:
    generator = np.random.default_rng(1)
    margins = generator.normal(size=(200, 1))
    y = (generator.random(200) < sigmoid(0.2 * margins[:, 0])).astype(np.float64)
    slopes = [fit_calibration(margins, y, (1.0,), (ridge,)).slopes[0] for ridge in (0.1, 10.0, 1000.0)]
    assert slopes[0] < slopes[1] < slopes[2] < 1.0


def test_the_offset_answers_a_bias() -> None:
    margins, y = np.zeros((300, 1)), np.ones(300)
    y[:60] = 0.0
    assert fit_calibration(margins, y, (1.0,)).offset > 0.05
    assert fit_calibration(margins, y, (1.0,), offset_ridge=0.0).offset == pytest.approx(np.log(4.0), abs=1e-6)


@pytest.mark.parametrize(("ones", "zeros"), [(30, 0), (3, 40), (0, 0)])
def test_where_there_is_too_little_to_fit_the_frequency_is_the_answer_whatever_the_margins(
    ones: int, zeros: int
) -> None:
    head = frequency_calibration(2, np.concatenate([np.ones(ones), np.zeros(zeros)]))
    p = sigmoid(head.margin(np.random.default_rng(1).normal(size=(50, 2))))
    assert p == pytest.approx((ones + 1) / (ones + zeros + 2))


def test_separable_margins_stay_finite() -> None:
    margins = np.linspace(-6, 6, 40)[:, None]
    head = fit_calibration(margins, (margins[:, 0] > 0).astype(np.float64), (0.0,))
    assert 0 < head.slopes[0] < 10


def test_margins_that_point_the_wrong_way_are_left_out() -> None:
    generator = np.random.default_rng(2)
    margins = generator.normal(size=(300, 2))
    y = (generator.random(300) < sigmoid(margins[:, 0] - 2.0 * margins[:, 1])).astype(np.float64)
    head = fit_calibration(margins, y, (0.0, 0.0))
    alone = fit_calibration(margins[:, :1], y, (0.0,))
    assert head.slopes == (alone.slopes[0], 0.0)
    assert head.offset == alone.offset
    backwards = fit_calibration(-margins[:, :1], y, (0.0,))
    assert backwards.slopes == (0.0,)
    assert sigmoid(np.array([backwards.offset]))[0] == pytest.approx(float(y.mean()), abs=0.05)
