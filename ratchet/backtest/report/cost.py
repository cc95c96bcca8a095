"""Chart: CPU seconds of each arm that trains models against its Brier score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt

from ratchet.backtest.compare import Score, best_baseline
from ratchet.backtest.report.figure import AnyChart, Figure, Panel, arm_colour, spread, values
from ratchet.backtest.result import is_baseline
from ratchet.backtest.wording import arm_name, estimate

LEAST_SECONDS = 0.01
HEIGHT = 340


def figure(scores: Sequence[Score]) -> Figure:
    best, trained = best_baseline(scores), [score for score in scores if not is_baseline(score.arm)]
    told = "; ".join(f"{score.arm} {score.cpu_seconds:,.1f} s for {estimate(score.brier, 4)}" for score in trained)
    defined = not math.isnan(best.brier.value)
    return Figure(
        "cost",
        "What it cost",
        "CPU seconds of all fits against the Brier score on all scored bars, with 95 % intervals: further left is"
        " cheaper, further down is better. These intervals are wide because bars differ; the paired gains compare."
        " The line is the best baseline.",
        (Panel(chart(trained, best), f"{told}."),) if defined else (),
    )


def chart(trained: Sequence[Score], best: Score) -> AnyChart:
    briers = [score.brier for score in (*trained, best)]
    limits = [limit for brier in briers for limit in (brier.value, brier.low, brier.high) if not math.isnan(limit)]
    margin = 0.05 * (max(limits) - min(limits))
    lowest, highest = min(limits) - margin, max(limits) + margin
    unit = (highest - lowest) / HEIGHT
    seconds = [max(LEAST_SECONDS, score.cpu_seconds) for score in trained]
    places = spread([(score.brier.value - lowest) / unit for score in trained], HEIGHT)
    rows: list[dict[str, object]] = [
        {
            "arm": score.arm,
            "cpu": spent,
            "brier": score.brier.value,
            "low": None if math.isnan(score.brier.low) else score.brier.low,
            "high": None if math.isnan(score.brier.high) else score.brier.high,
            "label": lowest + place * unit,
            "said": estimate(score.brier, 4),
            "spent": f"{score.cpu_seconds:,.2f} s",
        }
        for score, spent, place in zip(trained, seconds, places, strict=True)
    ]
    scale = alt.Scale(domain=[lowest, highest], nice=False)
    x = alt.X(
        "cpu:Q",
        title="CPU seconds (log scale)",
        scale=alt.Scale(type="log", domain=[min(seconds) / 2, max(seconds) * 30], nice=False),
        axis=alt.Axis(format="~g", values=[0.01, 0.1, 1, 10, 100, 1000, 10000], grid=False),
    )
    base = alt.Chart(values(rows)).encode(x, arm_colour([score.arm for score in trained], best.arm))
    bars = base.mark_rule(opacity=0.45).encode(alt.Y("low:Q", scale=scale), alt.Y2("high"))
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("said:N", title="Brier"), alt.Tooltip("spent:N", title="CPU")]
    brier = alt.Y("brier:Q", title="Brier score", scale=scale, axis=alt.Axis(format=".3f", tickCount=6))
    dots = base.mark_circle(size=80, opacity=1).encode(brier, tooltip=tips)
    names = base.mark_text(align="left", dx=9, fontSize=11.5).encode(
        alt.Y("label:Q", scale=scale), text="arm:N", tooltip=tips
    )
    line = alt.Chart(values([{"brier": best.brier.value, "arm": arm_name(best.arm)}])).encode(
        alt.Y("brier:Q", scale=scale)
    )
    rule = line.mark_rule(color="@best", strokeDash=[4, 3])
    beside = line.mark_text(align="right", dy=-7, fontSize=11.5, color="@best").encode(
        x=alt.value("width"), text="arm:N"
    )
    return alt.layer(rule, beside, bars, dots, names).properties(height=HEIGHT)
