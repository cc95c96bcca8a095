"""The page: every chart in it, the numbers in words beside them, and nothing asked of anywhere."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.backtest.compare import scores
from ratchet.backtest.report import render
from ratchet.backtest.report.calibration import groups
from ratchet.backtest.report.figure import LABEL_GAP, spread
from ratchet.backtest.report.style import DARK, LIGHT
from ratchet.backtest.report.trajectory import savings
from ratchet.backtest.result import Result
from ratchet.backtest.wording import CLAIM, arm_name, by_finding, comparisons, headline, percent

CHARTS = ("trajectory", "evidence", "windows", "calibration", "cost", *(f"patterns-{n}" for n in range(5)))


@pytest.fixture(scope="module")
def page(result: Result) -> str:
    return render(result)


@pytest.fixture(scope="module")
def own(page: str) -> str:
    """The page without the charting library, the longest script."""
    return page.replace(max(re.findall(r"<script>(.*?)</script>", page, re.DOTALL), key=len), "")


def test_each_chart_is_in_the_page_with_its_words(own: str) -> None:
    for name in CHARTS:
        (spec,) = re.findall(rf'<script type="application/json" id="spec-{name}">(.*?)</script>', own)
        assert json.loads(spec)["description"]
        assert re.search(rf'data-chart="spec-{name}" data-said="[^"]+"', own)
    assert own.count('type="application/json"') == len(CHARTS)


def test_the_page_names_no_address_and_may_ask_none(own: str, page: str) -> None:
    assert re.findall(r"https?://", own) == []
    assert re.findall(r"<(?:link|img|iframe)|<script[^>]* src=|url\(|@import", own) == []
    assert "default-src 'none'" in page
    assert len(own) < 600_000


def test_the_library_is_there_once_and_ends_no_script_early(page: str, own: str) -> None:
    assert page.count("window.vegaEmbed=") == 1
    assert page.count("<script") == page.count("</script>") == len(CHARTS) + 2


def test_every_colour_of_a_chart_is_in_both_palettes(own: str) -> None:
    named = set(re.findall(r'"@(\w+)"', own))
    assert named
    assert named <= set(LIGHT)
    assert set(LIGHT) == set(DARK)


def test_findings_decisions_and_origin_are_in_words(own: str, result: Result) -> None:
    found = scores(result)
    assert headline(result, found) in own
    assert all(
        f">{CLAIM[finding]}</span><span>{said}</span>" in own
        for finding, said in by_finding(comparisons(found)).items()
    )
    for score in found:
        assert f">{arm_name(score.arm)}</th>" in own
        assert score.gain is None or f">{percent(score.gain.percent).replace(' %', '')}</td>" in own
    for session in result.loop.sessions:
        assert session.reason in own
    assert result.setting.command in own


def test_text_of_a_series_is_not_markup(result: Result) -> None:
    odd = replace(result, setting=replace(result.setting, source="</script><b>.csv"))
    assert "<b>.csv" not in render(odd)


def test_a_backtest_over_bars_of_one_class_has_a_page_without_scores(result: Result) -> None:
    page = render(replace(result, outcomes=(False,) * len(result.outcomes)))
    assert page.count("not defined") > len(result.arms)


def test_a_backtest_without_patterns_says_so(result: Result) -> None:
    assert "No version used a pattern" in render(replace(result, patterns=()))


def test_the_last_point_of_a_trajectory_is_the_whole_advantage(result: Result) -> None:
    by_arm = {score.arm: score.brier.value for score in scores(result)}
    for arm, saved in savings(result, "har@baseline").items():
        assert saved[-1] / len(saved) == pytest.approx(by_arm["har@baseline"] - by_arm[arm])


def test_calibration_groups_hold_every_bar_once() -> None:
    p = np.linspace(0.05, 0.95, 95)
    y = np.arange(95) % 2 == 0
    found = groups(p, y)
    assert sum(int(str(group["bars"])) for group in found) == 95
    assert float(str(found[0]["forecast"])) == pytest.approx(p[:10].mean())
    assert float(str(found[0]["frequency"])) == 0.5


@given(heights=st.lists(st.floats(-50, 400), min_size=1, max_size=13))
def test_labels_keep_their_order_and_do_not_cover_each_other(heights: list[float]) -> None:
    placed = spread(heights, 340.0)
    assert all(-1e-9 <= place <= 340.0 + 1e-9 for place in placed)
    order = sorted(range(len(heights)), key=lambda index: placed[index])
    assert [heights[index] for index in order] == sorted(heights)
    assert all(placed[b] - placed[a] >= LABEL_GAP - 1e-9 for a, b in pairwise(order))


def test_labels_stay_where_there_is_room() -> None:
    assert spread([100.0, 200.0, 107.0], 340.0) == [96.5, 200.0, 110.5]
