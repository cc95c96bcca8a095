"""Chart: calibration, the observed frequency by forecast probability."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np

from ratchet.backtest.compare import Score, best_baseline
from ratchet.backtest.report.figure import AnyChart, Figure, Panel, arm_colour, values
from ratchet.backtest.result import RATCHET, SCRATCH, Result
from ratchet.backtest.wording import arm_name
from ratchet.statistics.arrays import Flags, Floats
from ratchet.statistics.scores import wilson

BINS = 10


def figure(result: Result, scores: Sequence[Score]) -> Figure:
    y = np.array(result.outcomes, np.bool_)
    best = best_baseline(scores).arm
    gaps = {arm: _gap(np.array(result.arm(arm).probabilities), y) for arm in (RATCHET, SCRATCH, best)}
    told = ", ".join(f"{arm_name(arm)} {100 * gap:.1f}" for arm, gap in gaps.items())
    return Figure(
        "calibration",
        "Do the probabilities mean what they say?",
        f"Bars in {BINS} groups of equal size by their forecast, with 95 % intervals. On the diagonal a forecast of"
        " 60 % comes true 60 times in 100. Of the baselines, the best.",
        (Panel(chart(result, y, best), f"Mean distance from the diagonal in points: {told}."),),
    )


def groups(p: Floats, y: Flags, bins: int = BINS) -> list[dict[str, object]]:
    """Bars sorted by `p` and cut into `bins` equal groups: mean forecast, frequency, Wilson's interval, bars."""
    found: list[dict[str, object]] = []
    for part in np.array_split(np.argsort(p, kind="stable"), min(bins, len(p))):
        share = wilson(int(y[part].sum()), len(part))
        found.append(
            {
                "forecast": float(p[part].mean()),
                "frequency": share.value,
                "low": share.low,
                "high": share.high,
                "bars": len(part),
            }
        )
    return found


def chart(result: Result, y: Flags, best: str) -> AnyChart:
    shown = (RATCHET, SCRATCH, best)
    rows = [
        {"arm": arm_name(arm), **group} for arm in shown for group in groups(np.array(result.arm(arm).probabilities), y)
    ]
    numbers = [float(str(row[name])) for row in rows for name in ("low", "high", "forecast")]
    ends = max(0.0, min(numbers) - 0.02), min(1.0, max(numbers) + 0.02)
    scale = alt.Scale(domain=list(ends), nice=False)
    x = alt.X("forecast:Q", title="forecast", scale=scale, axis=alt.Axis(format="%", tickCount=6))
    diagonal = (
        alt.Chart(values([{"forecast": end, "frequency": end} for end in ends]))
        .mark_line(color="@line", strokeDash=[4, 3])
        .encode(x, alt.Y("frequency:Q", title="came true", scale=scale))
    )
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=2.5)
    base = alt.Chart(values(rows)).encode(x, arm_colour(shown, best, legend))
    bars = base.mark_rule(opacity=0.45).encode(alt.Y("low:Q", scale=scale), alt.Y2("high"))
    y_axis = alt.Y("frequency:Q", title="came true", scale=scale, axis=alt.Axis(format="%", tickCount=6))
    lines = base.mark_line(strokeWidth=1.5).encode(y_axis)
    dots = base.mark_circle(size=45, opacity=1).encode(
        y_axis,
        tooltip=[
            alt.Tooltip("arm:N"),
            alt.Tooltip("forecast:Q", format=".1%"),
            alt.Tooltip("frequency:Q", title="came true", format=".1%"),
            alt.Tooltip("low:Q", format=".1%"),
            alt.Tooltip("high:Q", format=".1%"),
            alt.Tooltip("bars:Q"),
        ],
    )
    return alt.layer(diagonal, bars, lines, dots).properties(height=340)


def _gap(p: Floats, y: Flags) -> float:
    """The mean distance between forecast and frequency over the groups."""
    found = groups(p, y)
    return sum(abs(float(str(one["forecast"])) - float(str(one["frequency"]))) for one in found) / len(found)
