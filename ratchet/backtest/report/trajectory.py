"""Chart: cumulative Brier loss of each arm saved over the best baseline, and the version in force."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np

from ratchet.backtest.compare import Score, best_baseline, losses
from ratchet.backtest.report.figure import (
    MILLISECONDS,
    AnyChart,
    Figure,
    Panel,
    arm_colour,
    dates,
    on_date,
    spread,
    values,
)
from ratchet.backtest.result import RATCHET, Result, is_baseline
from ratchet.backtest.wording import arm_name, signed
from ratchet.names import NAIVE_BASELINES
from ratchet.statistics.arrays import Floats

POINTS = 400
HEIGHT = 420
LABEL_PADDING = 54
"""Half the width of the labels: Vega subtracts the padding from the container's width twice."""


def figure(result: Result, scores: Sequence[Score]) -> Figure:
    best = best_baseline(scores).arm
    saved = savings(result, best)
    last = {arm: float(column[-1]) for arm, column in saved.items()}
    order = sorted(saved, key=lambda arm: -last[arm])
    told = ", ".join(f"{arm_name(arm)} {signed(last[arm], 1)}" for arm in order)
    return Figure(
        "trajectory",
        "What each arm earned, bar by bar",
        f"Brier loss saved over {arm_name(best)}, the best baseline, summed from the first scored bar. A rising line"
        " forecasts better than it, a falling one worse; two lines that run parallel are equally good at that time."
        " Grey lines are the other baselines; an arrow marks one that leaves the picture. Bands show which version"
        " ratchet had in force.",
        (Panel(chart(result, saved, best), f"Brier loss saved by the last bar: {told}."),),
    )


def savings(result: Result, best: str) -> dict[str, Floats]:
    """The cumulative Brier advantage of each arm over the baseline `best`, shape (n,) each."""
    y = np.array(result.outcomes, np.bool_)
    reference = losses(np.array(result.arm(best).probabilities), y)
    return {
        arm.name: np.asarray(np.cumsum(reference - losses(np.array(arm.probabilities), y)), np.float64)
        for arm in result.arms
    }


def chart(result: Result, saved: dict[str, Floats], best: str) -> AnyChart:
    shown = sorted(saved, key=lambda arm: _width(arm, best))
    words = [arm_name(arm) for arm in shown]
    count = len(result.times)
    picked = sorted({int(index) for index in np.linspace(0, count - 1, min(POINTS, count))})
    rows: list[dict[str, object]] = [
        {"t": result.times[index] * MILLISECONDS} | {arm_name(arm): round(float(saved[arm][index]), 3) for arm in shown}
        for index in picked
    ]
    span = result.times[0], result.times[-1]
    within = [column for arm, column in saved.items() if arm not in NAIVE_BASELINES]
    lowest, highest = min(float(column.min()) for column in within), max(float(column.max()) for column in within)
    margin = 0.04 * (highest - lowest) or 1.0
    lowest, highest = lowest - margin, highest + margin
    scale = alt.Scale(domain=[lowest, highest], nice=False)
    base = alt.Chart(values(rows))
    hover = alt.selection_point(
        name="near", nearest=True, on="pointermove", encodings=["x"], empty=False, clear="pointerout"
    )
    colour = arm_colour(shown, best)
    widths = alt.Scale(type="ordinal", domain=words, range=[_width(arm, best) for arm in shown])
    lines = (
        base.transform_fold([*words], as_=["arm", "saved"])
        .mark_line(interpolate="linear", strokeJoin="round", clip=True)
        .encode(
            dates("t", span),
            alt.Y("saved:Q", title="Brier loss saved", scale=scale, axis=alt.Axis(tickCount=6)),
            colour,
            alt.StrokeWidth("arm:N", scale=widths, legend=None),
        )
    )
    rule = (
        base.mark_rule(color="@text", strokeWidth=1)
        .encode(
            dates("t"),
            opacity=alt.condition(hover, alt.value(0.5), alt.value(0)),
            tooltip=[
                on_date("t", "bar"),
                *(alt.Tooltip(f"{word}:Q", title=word, format="+.1f") for word in reversed(words)),
            ],
        )
        .add_params(hover)
    )
    unit = (highest - lowest) / HEIGHT
    places = spread([(float(saved[arm][-1]) - lowest) / unit for arm in shown], HEIGHT)
    ends: list[dict[str, object]] = [
        {
            "arm": arm_name(arm),
            "place": lowest + place * unit,
            "said": arm_name(arm) if lowest <= saved[arm][-1] <= highest else f"{arm_name(arm)} ↓",
        }
        for arm, place in zip(shown, places, strict=True)
    ]
    names = (
        alt.Chart(values(ends))
        .mark_text(align="left", dx=8, fontSize=11.5)
        .encode(alt.Y("place:Q", scale=scale), colour, x=alt.value("width"), text="said:N")
    )
    return alt.layer(*_reigns(result, span), lines, names, rule).properties(
        height=HEIGHT, padding={"left": 2, "top": 2, "bottom": 2, "right": LABEL_PADDING}
    )


def _width(arm: str, best: str) -> float:
    """Line width of an arm; wider lines lie above."""
    if is_baseline(arm):
        return 1.9 if arm == best else 1.1
    return 3.0 if arm == RATCHET else 1.6


def _reigns(result: Result, span: tuple[int, int]) -> list[alt.Chart]:
    """A band for each champion's reign, with a mark and a label at its start."""
    starts: list[tuple[int, int]] = []
    for segment, session in zip(result.segments, result.loop.sessions, strict=True):
        if not starts or starts[-1][1] != session.champion:
            starts.append((segment.first, session.champion))
    ends = [start for start, _ in starts[1:]] + [span[1]]
    rows: list[dict[str, object]] = [
        {
            "from": max(start, span[0]) * MILLISECONDS,
            "to": end * MILLISECONDS,
            "version": f"v{version}",
            "odd": number % 2,
        }
        for number, ((start, version), end) in enumerate(zip(starts, ends, strict=True))
    ]
    base = alt.Chart(values(rows))
    bands = base.transform_filter("datum.odd == 1").mark_rect(color="@band").encode(dates("from"), alt.X2("to"))
    marks = base.mark_rule(color="@line", strokeDash=[2, 3]).encode(dates("from"))
    names = base.mark_text(align="left", dx=4, dy=9, fontSize=11, color="@muted").encode(
        dates("from"), text="version:N", y=alt.value(0)
    )
    return [bands, marks, names]
