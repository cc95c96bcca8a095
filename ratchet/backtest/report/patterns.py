"""Charts: confidence of each used pattern, session by session."""

from __future__ import annotations

import altair as alt

from ratchet.backtest.report.figure import MILLISECONDS, AnyChart, Figure, Panel, dates, on_date, values
from ratchet.backtest.result import PatternHistory, Result

HEIGHT = 120


def figure(result: Result) -> Figure:
    if not result.patterns:
        return Figure("patterns", "What it learned", "No version used a pattern: none was found and kept.", ())
    span = result.segments[0].date, result.setting.last_bar
    return Figure(
        "patterns",
        "What it learned, and how sure it was",
        "The rules that most versions used. The line is the confidence, the mean of what the hit rate may be on bars"
        " that did not choose the rule, with its 95 % band; the dashed line is how often the label comes anyway.",
        tuple(_panel(pattern, span) for pattern in result.patterns),
    )


def _panel(pattern: PatternHistory, span: tuple[int, int]) -> Panel:
    last = pattern.beliefs[-1]
    return Panel(
        chart(pattern, span),
        f"confidence {last.confidence:.0%} [{last.low:.0%}, {last.high:.0%}] against {last.base_rate:.0%},"
        f" {last.support:,} bars, {last.state}; used by {pattern.used_by} versions",
        pattern.wording,
    )


def chart(pattern: PatternHistory, span: tuple[int, int]) -> AnyChart:
    rows: list[dict[str, object]] = [
        {
            "t": belief.date * MILLISECONDS,
            "confidence": belief.confidence,
            "low": belief.low,
            "high": belief.high,
            "base": belief.base_rate,
            "bars": belief.support,
            "state": belief.state,
        }
        for belief in pattern.beliefs
    ]
    if pattern.beliefs[-1].date < span[1]:
        rows.append(rows[-1] | {"t": span[1] * MILLISECONDS})
    scale = alt.Scale(domain=[0.3, 1.0], clamp=True)
    y = alt.Y("confidence:Q", title=None, scale=scale, axis=alt.Axis(format="%", values=[0.4, 0.6, 0.8, 1.0]))
    base = alt.Chart(values(rows)).encode(dates("t", span))
    band = base.mark_area(interpolate="step-after", color="@ratchet", opacity=0.16).encode(
        alt.Y("low:Q", scale=scale), alt.Y2("high")
    )
    line = base.mark_line(interpolate="step-after", color="@ratchet", strokeWidth=2).encode(y)
    usual = base.mark_line(interpolate="step-after", color="@muted", strokeDash=[3, 3], strokeWidth=1).encode(
        alt.Y("base:Q", scale=scale)
    )
    dots = base.mark_circle(size=28, color="@ratchet", opacity=1).encode(
        y,
        tooltip=[
            on_date("t", "session"),
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("low:Q", format=".1%"),
            alt.Tooltip("high:Q", format=".1%"),
            alt.Tooltip("base:Q", title="anyway", format=".1%"),
            alt.Tooltip("bars:Q", title="bars it fired on", format=","),
            alt.Tooltip("state:N"),
        ],
    )
    return alt.layer(band, usual, line, dots).properties(height=HEIGHT)
