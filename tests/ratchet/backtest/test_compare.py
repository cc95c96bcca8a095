"""Paired gains: known values, and words that claim no more than an interval shows."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from ratchet.backtest.compare import Gain, Score, finding, gain_over, scores
from ratchet.backtest.result import Result
from ratchet.backtest.wording import by_finding, comparisons, estimate, headline, history, percent, signed
from ratchet.statistics.scores import UNDEFINED, Interval
from tests.support.backtest_result import made_up

HELD = Interval(0.5, 0.4, 0.6)


def test_a_gain_is_the_mean_of_paired_brier_differences() -> None:
    y = np.array([True, False] * 20)
    other, mine = np.full(40, 0.5), np.where(y, 0.9, 0.3)
    gain = gain_over(other, mine, y, 1)
    assert gain.brier.value == pytest.approx(0.25 - (0.01 + 0.09) / 2)
    assert gain.percent.value == pytest.approx(100 * 0.2 / 0.25)
    assert gain.auc.value == pytest.approx(0.5)
    # Differences .24 and .16: standard deviation .04 over 40 bars, with the correction 39/40 and t(39) = 2.0227.
    assert gain.brier.high - gain.brier.value == pytest.approx(2.0227 * 0.04 / math.sqrt(39), rel=1e-4)


def test_a_gain_changes_its_sign_with_its_sides(result: Result) -> None:
    y = np.array(result.outcomes)
    a, b = (np.array(result.arm(name).probabilities) for name in ("ratchet", "har@baseline"))
    there, back = gain_over(a, b, y, 1).brier, gain_over(b, a, y, 1).brier
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_equal_forecasts_show_nothing() -> None:
    y = np.array([True, False] * 20)
    p = np.linspace(0.2, 0.8, 40)
    assert gain_over(p, p, y, 1).finding == "not shown"


@pytest.mark.parametrize(
    ("interval", "found"),
    [
        (Interval(0.02, 0.001, 0.04), "better"),
        (Interval(0.02, 0.0, 0.04), "not shown"),
        (Interval(0.02, -0.01, 0.05), "not shown"),
        (Interval(-0.02, -0.04, -0.001), "worse"),
        (Interval(0.02, math.nan, math.nan), "not shown"),
    ],
)
def test_a_finding_needs_an_interval_without_0(interval: Interval, found: str) -> None:
    assert finding(interval) == found
    gain = Gain(interval, interval.scaled(400.0), interval)
    (sentence,) = comparisons(
        [Score("ratchet", HELD, HELD, HELD, 1.0, None), Score("har-level@baseline", HELD, HELD, HELD, 0.0, gain)]
    )
    assert sentence.text.startswith(f"Against har level: {found} (")
    for claim in ("better", "worse"):
        assert (claim in sentence.text) == (claim == found)


@pytest.mark.parametrize("seed", range(3))
def test_no_sentence_claims_more_than_its_interval(seed: int) -> None:
    replayed = made_up(seed, skill=0.0)
    found = scores(replayed)
    sentences = {sentence.arm: sentence for sentence in comparisons(found)}
    assert len(sentences) == len(found) - 1
    for score in found:
        if score.gain is not None:
            assert ("better" in sentences[score.arm].text) == (score.gain.brier.low > 0)
            assert ("worse" in sentences[score.arm].text) == (score.gain.brier.high < 0)


def test_the_headline_is_about_the_baseline_with_the_lowest_brier_score(result: Result) -> None:
    found = scores(result)
    best = min((score for score in found if score.arm.endswith("@baseline")), key=lambda score: score.brier.value)
    said = headline(result, found)
    assert said.startswith("On 2,018 bars")
    assert f" {best.arm.removesuffix('@baseline').replace('-', ' ')}, the best of 9 baselines" in said


def test_the_groups_name_every_arm_once(result: Result) -> None:
    sentences = comparisons(scores(result))
    said = by_finding(sentences)
    for sentence in sentences:
        holding = [
            found for found, text in said.items() if re.search(rf"(?:^| ){sentence.against}(?:,|;|$| and )", text)
        ]
        assert holding == [sentence.finding]


def test_history_counts_promotions_and_better_means(result: Result) -> None:
    better = sum(session.tested[0].improvement_percent.value > 0 for session in result.loop.sessions[1:])
    said = history(result)
    assert (
        f"balanced promoted in 4; the new version had a better mean on its holdout than the champion in {better}."
        in said
    )


def test_bars_of_one_class_define_no_score_and_show_nothing(result: Result) -> None:
    constant = replace(result, outcomes=tuple(number < 19 for number in range(len(result.outcomes))))
    found = scores(constant)
    assert all(math.isnan(number.value) for score in found for number in (score.brier, score.accuracy, score.auc))
    for sentence in comparisons(found):
        assert sentence.text.endswith(": not shown (not defined: fewer than 20 bars of one class).")


def test_numbers_are_written_with_their_limits_and_without_a_signed_zero() -> None:
    assert percent(Interval(3.14, 1.0, 5.28)) == "+3.1 % [+1.0, +5.3]"
    assert percent(Interval(-1.07, -2.12, -0.02)) == "-1.07 % [-2.12, -0.02]"
    assert percent(Interval(0.3, 0.004, 0.6)) == "+0.300 % [+0.004, +0.600]"
    assert percent(Interval(0.3, 0.0, 0.6)) == "+0.3 % [0.0, +0.6]"
    assert percent(Interval(0.0, math.nan, math.nan)) == "0.0 %"
    assert percent(UNDEFINED) == estimate(UNDEFINED, 3) == "not defined"
    assert estimate(Interval(0.25, math.nan, math.nan), 3) == "0.250"
    assert signed(-0.01, 1) == "0.0"
