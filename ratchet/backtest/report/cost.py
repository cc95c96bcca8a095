"""Chart: the CPU seconds that each arm spent against the Brier score that it reached."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt

from ratchet.backtest.compare import Score
from ratchet.backtest.report.figure import ARM_COLOURS, AnyChart, Figure, Panel, values
from ratchet.backtest.result import ARMS
from ratchet.backtest.words import estimate

LEAST_SECONDS = 0.01
HEIGHT = 340
LABEL_GAP = 15
NEAR_DECADES = 1.2


def figure(scores: Sequence[Score]) -> Figure:
    told = "; ".join(f"{score.arm} {score.cpu_seconds:,.1f} s for {score.brier.value:.4f}" for score in scores)
    return Figure(
        "cost",
        "What it cost",
        "CPU seconds of all fits against the Brier score on all scored bars, with 95 % intervals: further left is"
        " cheaper, further down is better. These intervals are wide because bars differ; the paired gains compare."
        f" Less than {LEAST_SECONDS} s is drawn there.",
        (Panel(chart(scores), f"{told}."),),
    )


def chart(scores: Sequence[Score]) -> AnyChart:
    limits = [value for score in scores for value in (score.brier.value, score.brier.low, score.brier.high)]
    known = [value for value in limits if not math.isnan(value)]
    margin = 0.05 * (max(known) - min(known))
    lowest, highest = min(known) - margin, max(known) + margin
    seconds = [max(LEAST_SECONDS, score.cpu_seconds) for score in scores]
    heights = label_places(seconds, [HEIGHT * (score.brier.value - lowest) / (highest - lowest) for score in scores])
    rows: list[dict[str, object]] = [
        {
            "arm": score.arm,
            "cpu": spent,
            "brier": score.brier.value,
            "low": None if math.isnan(score.brier.low) else score.brier.low,
            "high": None if math.isnan(score.brier.high) else score.brier.high,
            "label": lowest + height / HEIGHT * (highest - lowest),
            "said": estimate(score.brier, 4),
            "spent": f"{score.cpu_seconds:,.2f} s",
        }
        for score, spent, height in zip(scores, seconds, heights, strict=True)
    ]
    scale = alt.Scale(domain=[lowest, highest], nice=False)
    colour = alt.Color(
        "arm:N", scale=alt.Scale(domain=list(ARMS), range=[ARM_COLOURS[arm] for arm in ARMS]), legend=None
    )
    x = alt.X(
        "cpu:Q",
        title="CPU seconds (log scale)",
        scale=alt.Scale(type="log", domain=[LEAST_SECONDS / 2, max(seconds) * 30], nice=False),
        axis=alt.Axis(format="~g", values=[0.01, 0.1, 1, 10, 100, 1000, 10000], grid=False),
    )
    base = alt.Chart(values(rows)).encode(x, colour)
    bars = base.mark_rule(opacity=0.45).encode(alt.Y("low:Q", scale=scale), alt.Y2("high"))
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("said:N", title="Brier"), alt.Tooltip("spent:N", title="CPU")]
    brier = alt.Y("brier:Q", title="Brier score", scale=scale, axis=alt.Axis(format=".3f", tickCount=6))
    dots = base.mark_circle(size=80, opacity=1).encode(brier, tooltip=tips)
    names = base.mark_text(align="left", dx=9, fontSize=11.5).encode(
        alt.Y("label:Q", scale=scale), text="arm:N", tooltip=tips
    )
    return alt.layer(bars, dots, names).properties(height=HEIGHT)


def label_places(seconds: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Heights for the labels, in pixels from below, LABEL_GAP apart where their dots are near each other."""
    placed: dict[int, float] = {}
    for index in sorted(range(len(heights)), key=lambda index: heights[index]):
        near = [
            height
            for other, height in placed.items()
            if abs(math.log10(seconds[other] / seconds[index])) < NEAR_DECADES
        ]
        placed[index] = max([heights[index], *(height + LABEL_GAP for height in near)])
    return [placed[index] for index in range(len(heights))]
