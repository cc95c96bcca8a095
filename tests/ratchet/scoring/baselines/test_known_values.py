# ruff: noqa: N803, N806
"""Known values of the baselines, when the refitted ones are fitted, and on what."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import planted
from ratchet.scoring import targets
from ratchet.scoring.baselines import base_rate, forecasts, persistence, refitted
from ratchet.scoring.baselines.refitted import MAX_ROWS, Predict, Refits
from ratchet.scoring.data.bars import WARM_UP, Bars, Floats
from ratchet.scoring.models.port import sigmoid
from ratchet.statistics.scores import CLASS_ROWS

PLANTED = planted.series(1)[0].head(2300)


def after_warm_up(*labels: float) -> Floats:
    return np.concatenate([np.full(WARM_UP, np.nan), labels])


def test_the_base_rate_of_a_few_labels() -> None:
    y = after_warm_up(1, 1, 0, 1, np.nan, np.nan)
    assert base_rate(y, 1)[WARM_UP:] == pytest.approx([1 / 2, 2 / 3, 3 / 4, 3 / 5, 4 / 6, 4 / 6])
    assert base_rate(y, 2)[WARM_UP:] == pytest.approx([1 / 2, 1 / 2, 2 / 3, 3 / 4, 3 / 5, 4 / 6])


def test_persistence_of_labels_that_alternate() -> None:
    y = after_warm_up(*[1.0, 0.0] * 40, np.nan)
    p = persistence(y, 1)
    defined = WARM_UP + 2 * CLASS_ROWS
    assert np.array_equal(p[:defined], base_rate(y, 1)[:defined])
    assert p[defined] == pytest.approx((20 + 1 - 1) / (19 + 2))  # 19 ones after a zero, and the first has none before
    assert p[-1] == pytest.approx((39 + 1) / (39 + 2))
    assert p[-2] == pytest.approx(1 / (39 + 2))


@given(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=30, max_size=150), st.sampled_from([1, 3]))
def test_both_count_the_known_labels_and_no_other(labels: list[float], horizon: int) -> None:
    y = after_warm_up(*labels)
    rate, repeated = base_rate(y, horizon), persistence(y, horizon)
    for t in range(WARM_UP, len(y), 7):
        known = [j for j in range(WARM_UP, t - horizon + 1) if y[j] == y[j]]
        ones = sum(y[j] for j in known)
        assert rate[t] == pytest.approx((ones + 1) / (len(known) + 2))
        alike = [y[j] for j in known if y[j - horizon] == y[t - horizon]]
        counted = min(ones, len(known) - ones) >= CLASS_ROWS and y[t - horizon] == y[t - horizon]
        assert repeated[t] == pytest.approx((sum(alike) + 1) / (len(alike) + 2) if counted else rate[t])


def brier(p: Floats, y: Floats) -> float:
    return float(np.mean((p - y) ** 2))


@pytest.fixture(scope="module")
def planted_scores() -> dict[str, float]:
    """Brier scores on the last 1,200 labelled bars of a series with planted rules."""
    y = targets.labels("direction", PLANTED, 1)
    rows = slice(len(PLANTED) - 1201, len(PLANTED) - 1)
    return {name: brier(p[rows], y[rows]) for name, p in forecasts(PLANTED, "direction", 1).items()}


def test_the_stack_is_as_good_as_each_of_its_four_and_what_is_planted_is_found(
    planted_scores: dict[str, float],
) -> None:
    four = [planted_scores[f"{name}@baseline"] for name in ("har", "online", "ridge", "boosting")]
    assert planted_scores["stack@baseline"] <= min(four) + 0.002
    assert planted_scores["mean@baseline"] < np.mean(four)
    assert min(four) < 0.97 * planted_scores["base-rate@baseline"]


def test_the_level_is_the_share_of_residuals_that_lift_it_above_the_median() -> None:
    generator = np.random.default_rng(3)
    X = generator.normal(size=(3000, 2))
    u = 0.5 * X[:, 0] + 0.2 + generator.logistic(scale=0.25, size=3000)
    answer = refitted.level(X, u, 1)
    asked = np.array([[0.0, 0.0], [1.0, 5.0], [-1.0, -3.0], [np.nan, np.nan]])
    expected = sigmoid(np.array([0.2, 0.7, -0.3, 0.2]) / 0.25)
    assert answer(asked) == pytest.approx(expected, abs=0.03)


class Watch:
    """A fit that answers with the number of its rows, and what it was fitted on."""

    def __init__(self) -> None:
        self.fitted: list[tuple[int, int]] = []

    def __call__(self, X: Floats, y: Floats, horizon: int) -> Predict:
        assert np.isfinite(y).all()
        self.fitted.append((len(y), int(X[-1, 0])))
        return lambda features: np.full(len(features), float(len(y)))


def of_length(n: int) -> Bars:
    price = np.full(n, 10.0)
    return Bars("TEST", 86_400 * np.arange(n), price, price, price, price, np.ones(n))


def refits(y: Floats, horizon: int) -> tuple[Watch, Floats]:
    watch, n = Watch(), len(y)
    numbered = np.arange(n, dtype=np.float64)[:, None]
    return watch, Refits(of_length(n), y, horizon, "test").probabilities("watch", watch, numbered, np.zeros(n))


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fit of another test is kept."""
    monkeypatch.setattr(refitted, "_FIT_CACHE", refitted._FitCache(refitted._CACHE_SIZE))


@pytest.mark.parametrize("horizon", [1, 5])
def test_fits_come_after_250_labels_then_63_then_two_percent_more_on_the_newest_20000(horizon: int) -> None:
    y = np.arange(WARM_UP + 22_000 + horizon) % 2.0
    y[:WARM_UP] = y[-horizon:] = np.nan
    watch, p = refits(y, horizon)
    counts = [last + 1 - WARM_UP for _, last in watch.fitted]
    assert counts[:4] == [250, 313, 376, 439]
    assert all(later - earlier == max(63, int(0.02 * earlier)) for earlier, later in pairwise(counts))
    assert counts[-1] + max(63, int(0.02 * counts[-1])) > 22_000 >= counts[-1]
    assert [rows for rows, _ in watch.fitted] == [min(count, MAX_ROWS) for count in counts]
    for count in counts:
        known = WARM_UP + count - 1 + horizon
        assert p[known] == min(count, MAX_ROWS)
        assert p[known - 1] < min(count, MAX_ROWS) or count > MAX_ROWS


def test_a_rare_class_is_answered_with_the_base_rate() -> None:
    y = np.zeros(900)
    y[WARM_UP + np.arange(20) * 20] = 1.0
    y[:WARM_UP] = y[-1:] = np.nan
    watch, p = refits(y, 1)
    twentieth = WARM_UP + 19 * 20
    assert watch.fitted[0] == (439, WARM_UP + 438)
    assert WARM_UP + 376 < twentieth < WARM_UP + 439
    assert (p[: WARM_UP + 439] == 0.0).all()
    assert (p[WARM_UP + 439 :] > 0.0).all()


def test_a_process_makes_each_fit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()

    def counted(name: str) -> None:
        fit = getattr(refitted, name)

        def fitted(X: Floats, y: Floats, horizon: int) -> Predict:
            made[name] += 1
            answer: Predict = fit(X, y, horizon)
            return answer

        monkeypatch.setattr(refitted, name, fitted)

    for name in ("har", "ridge", "boosting", "level"):
        counted(name)
    bars = PLANTED.head(WARM_UP + 400)
    first = forecasts(bars, "range", 1)
    assert made == {"har": 3, "ridge": 3, "boosting": 3, "level": 3}
    again = forecasts(bars, "range", 1)
    assert sum(made.values()) == 12
    assert all(again[name].tobytes() == p.tobytes() for name, p in first.items())
    forecasts(PLANTED.head(WARM_UP + 450), "range", 1)
    assert made == {"har": 4, "ridge": 4, "boosting": 4, "level": 4}
    forecasts(bars, "range", 5)
    forecasts(bars, "volume", 1)
    assert made == {"har": 10, "ridge": 10, "boosting": 10, "level": 7}
