"""Chart: how much Brier loss each arm has saved over the majority class by each bar, and which version was in force."""

from __future__ import annotations

import altair as alt
import numpy as np

from ratchet.backtest.compare import losses
from ratchet.backtest.report.figure import (
    MILLISECONDS,
    AnyChart,
    Figure,
    Panel,
    arm_colour,
    arm_dash,
    dates,
    on_date,
    values,
)
from ratchet.backtest.result import ArmName, Result
from ratchet.proof.arrays import Floats

POINTS = 400


def figure(result: Result) -> Figure:
    saved = savings(result)
    shown: list[ArmName] = list(saved)
    last = {arm: float(column[-1]) for arm, column in saved.items()}
    order = sorted(shown, key=lambda arm: -last[arm])
    told = ", ".join(f"{arm} {last[arm]:+.1f}" for arm in order)
    return Figure(
        "trajectory",
        "What each way of retraining earned, bar by bar",
        "Brier loss saved over the majority class, summed from the first scored bar. A rising line forecasts better"
        " than the majority class, a flat one as well as it; two lines that run parallel are equally good at that time."
        " Bands show which version ratchet had in force.",
        (Panel(chart(result, saved), f"Brier loss saved by the last bar: {told}."),),
    )


def savings(result: Result) -> dict[ArmName, Floats]:
    """The cumulative Brier advantage of each arm over majority, shape (n,) each."""
    y = np.array(result.outcomes, np.bool_)
    flat = losses(np.array(result.arm("majority").probabilities), y)
    return {
        arm.name: np.asarray(np.cumsum(flat - losses(np.array(arm.probabilities), y)), np.float64)
        for arm in result.arms
        if arm.name != "majority"
    }


def chart(result: Result, saved: dict[ArmName, Floats]) -> AnyChart:
    shown: list[ArmName] = list(saved)
    count = len(result.times)
    picked = sorted({int(index) for index in np.linspace(0, count - 1, min(POINTS, count))})
    rows: list[dict[str, object]] = [
        {"t": result.times[index] * MILLISECONDS} | {arm: round(float(saved[arm][index]), 3) for arm in shown}
        for index in picked
    ]
    span = result.times[0], result.times[-1]
    base = alt.Chart(values(rows))
    hover = alt.selection_point(
        name="near", nearest=True, on="pointermove", encodings=["x"], empty=False, clear="pointerout"
    )
    lines = (
        base.transform_fold(list(shown), as_=["arm", "saved"])
        .mark_line(interpolate="linear", strokeJoin="round")
        .encode(
            dates("t", span),
            alt.Y("saved:Q", title="Brier loss saved", axis=alt.Axis(tickCount=6)),
            arm_colour(shown),
            arm_dash(shown),
            strokeWidth=alt.condition("datum.arm == 'ratchet'", alt.value(3), alt.value(1.5)),
        )
    )
    rule = (
        base.mark_rule(color="@text", strokeWidth=1)
        .encode(
            dates("t"),
            opacity=alt.condition(hover, alt.value(0.5), alt.value(0)),
            tooltip=[on_date("t", "bar"), *(alt.Tooltip(f"{arm}:Q", title=arm, format="+.1f") for arm in shown)],
        )
        .add_params(hover)
    )
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color="@line").encode(alt.Y("zero:Q"))
    return alt.layer(*_reigns(result, span), zero, lines, rule).properties(height=380)


def _reigns(result: Result, span: tuple[int, int]) -> list[alt.Chart]:
    """A band for each champion's time in force, with a mark and a name where it begins."""
    starts: list[tuple[int, int]] = []
    for segment, session in zip(result.segments, result.gated.sessions, strict=True):
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
