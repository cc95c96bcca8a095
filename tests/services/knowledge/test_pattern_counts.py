"""Counts against scipy's beta distribution, and against what they are meant to guard from."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ratchet.patterns.evidence import EvidenceBars
from ratchet.patterns.retention import retention_threshold
from services.knowledge.domain.counts import PRIOR_WEIGHT, Counts, count
from services.knowledge.domain.evidence import Evidence, merge
from tests.support.planted_rule import Truth


def evidence(fired: NDArray[np.bool_], outcomes: NDArray[np.bool_]) -> Evidence:
    times = np.arange(len(fired), dtype=np.int64)
    return united(EvidenceBars(times, times + 1, fired, outcomes))


def united(bars: EvidenceBars) -> Evidence:
    return merge(Evidence.concatenated([(1, bars)]))[0]


def alternating(bars: int) -> NDArray[np.bool_]:
    return np.arange(bars) % 2 < 1


def test_counts_are_those_of_the_beta_posterior() -> None:
    # 400 bars of which every second has the label; the rule fires on 60 bars whose hits do not cluster: no shrinking.
    outcomes = alternating(400)
    fired = np.zeros(400, dtype=bool)
    fired[0:80:2], fired[101:141:2] = True, True
    fired[0:80:2][1::2] = False
    fired[200:240:2] = True
    found = count(evidence(fired, outcomes), True, 1)
    assert (found.bars, found.support, found.hits, found.base_rate) == (400, 60, 40, 0.5)
    scale = found.effective_support / 60
    assert found.effective_hits == pytest.approx(40 * scale)
    a = PRIOR_WEIGHT * 0.5 + found.effective_hits
    b = PRIOR_WEIGHT * 0.5 + found.effective_support - found.effective_hits
    posterior = stats.beta(a, b)
    assert found.confidence == pytest.approx(posterior.mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx(posterior.ppf([0.025, 0.975]), abs=1e-9)
    assert found.probability_above_base == pytest.approx(posterior.sf(0.5), abs=1e-9)
    assert found.probability_above_line == pytest.approx(posterior.sf(0.60), abs=1e-9)


def test_hits_that_do_not_cluster_count_in_full() -> None:
    truth = Truth.drawn(1)
    hits = np.tile([True, True, False], 40)
    outcomes = truth.outcomes[: len(hits) * 3].copy()
    fired = np.zeros(len(outcomes), dtype=bool)
    fired[::3] = True
    outcomes[::3] = hits
    found = count(evidence(fired, outcomes), True, 1)
    assert (found.effective_support, found.effective_hits) == (120.0, 80.0)


def test_hits_that_cluster_count_less() -> None:
    fired = np.ones(240, dtype=bool)
    clustered = np.repeat(np.tile([True, True, False], 8), 10)
    spread = np.tile([True, True, False], 80)
    less, full = count(evidence(fired, clustered), True, 1), count(evidence(fired, spread), True, 1)
    assert (less.support, less.hits) == (full.support, full.hits)
    assert less.effective_support < 0.3 * full.effective_support
    assert less.high - less.low > 1.5 * (full.high - full.low)


def test_hits_without_a_miss_are_shrunk_as_the_outcomes_around_them() -> None:
    outcomes = np.repeat([True, False], 100)
    fired = np.zeros(200, dtype=bool)
    fired[10:30] = True
    found = count(evidence(fired, outcomes), True, 1)
    assert (found.support, found.hits) == (20, 20)
    assert found.effective_support < 10
    assert found.confidence < 0.95


def test_a_rule_may_foretell_that_the_label_does_not_come() -> None:
    truth = Truth.drawn(2, hit_rate=0.1, base=0.6)
    union = united(truth.bars((0, 1000)))
    positive, negative = count(union, True, 1), count(union, False, 1)
    assert negative.hits == negative.support - positive.hits
    assert negative.base_rate == pytest.approx(1 - positive.base_rate)
    assert negative.confidence > 0.85 > positive.confidence


def test_a_rule_that_never_fired_is_worth_the_base_rate() -> None:
    outcomes = np.tile([True, False, False, False], 100)
    found = count(evidence(np.zeros(400, dtype=bool), outcomes), True, 1)
    assert found.support == 0
    assert found.confidence == pytest.approx(0.25, abs=0.01)
    assert 0.05 < found.probability_above_base < 0.95


def test_without_a_bar_there_is_nothing_to_count() -> None:
    assert count(Evidence.none(), True, 1) == Counts()


@pytest.mark.parametrize("always", [True, False])
def test_outcomes_that_never_vary_are_counted_without_an_error(always: bool) -> None:
    found = count(evidence(np.ones(50, dtype=bool), np.full(50, always)), True, 1)
    assert found.probability_above_line == pytest.approx(0.0, abs=1e-6)
    assert 0.0 <= found.low <= found.confidence <= found.high <= 1.0


@pytest.mark.parametrize(("base", "expected"), [(0.3, 0.60), (0.55, 0.60), (0.58, 0.63), (0.9, 0.95)])
def test_the_line_is_sixty_percent_or_five_points_above_the_base(base: float, expected: float) -> None:
    assert retention_threshold(base) == pytest.approx(expected)


def test_counts_survive_their_message() -> None:
    found = count(united(Truth.drawn(3).bars((0, 500))), True, 1)
    assert Counts.read(found.message()) == found
