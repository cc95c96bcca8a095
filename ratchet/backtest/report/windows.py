"""Chart: windows of each version, and its time in force."""

from __future__ import annotations

import altair as alt

from ratchet.backtest.bar_times import format_day
from ratchet.backtest.report.figure import MILLISECONDS, Figure, Panel, dates, on_date, values
from ratchet.backtest.result import Result, Version

COLOURS = {
    "training": "@training",
    "tune": "@tune",
    "choose": "@choose",
    "holdout": "@holdout",
    "in force": "@ratchet",
}
ROW_HEIGHT = 20


def figure(result: Result) -> Figure:
    ruled = sorted({session.champion for session in result.loop.sessions})
    earliest = min(
        (segment.first - result.loop.version(session.champion).fit_label_end) // 86_400
        for segment, session in zip(result.segments, result.loop.sessions, strict=True)
    )
    return Figure(
        "windows",
        "What each version knew, and when it served",
        "A row is a version: the bars that it was fitted on, the bars that tuned it and chose between its candidates,"
        " the holdout that judged it, and the time in which it was the champion. What is in force lies right of all"
        " that the version knew.",
        (
            Panel(
                chart(result),
                f"{len(result.loop.versions)} versions, of which {', '.join(f'v{number}' for number in ruled)} served."
                f" The last label that entered a fit of a model in force was known at least {earliest} days before the"
                f" first bar that it forecast; the first of these bars is {format_day(result.segments[0].first)}.",
            ),
        ),
    )


def chart(result: Result) -> alt.Chart:
    rows = [row for version in result.loop.versions for row in _windows(version)]
    rows += _in_force(result)
    kinds = list(COLOURS)
    made: alt.Chart = (
        alt.Chart(values(rows))
        .mark_bar(height=ROW_HEIGHT - 8, cornerRadius=1.5)
        .encode(
            dates("from"),
            alt.X2("to"),
            alt.Y("version:N", title=None, sort=[f"v{version.number}" for version in result.loop.versions]),
            alt.Color(
                "what:N",
                scale=alt.Scale(domain=kinds, range=list(COLOURS.values())),
                legend=alt.Legend(orient="top", title=None, symbolType="square"),
            ),
            tooltip=[
                alt.Tooltip("version:N"),
                alt.Tooltip("what:N", title="window"),
                on_date("from", "first bar"),
                on_date("to", "last bar"),
                on_date("known", "last label known"),
                alt.Tooltip("bars:Q", format=","),
                alt.Tooltip("learned:N", title="learned"),
            ],
        )
    )
    return made.properties(height=alt.Step(ROW_HEIGHT))


def _windows(version: Version) -> list[dict[str, object]]:
    named = {
        "training": version.training,
        "tune": version.tune,
        "choose": version.choose,
        "holdout": version.holdout,
    }
    return [
        {
            "version": f"v{version.number}",
            "what": what,
            "from": rows.first * MILLISECONDS,
            "to": rows.last * MILLISECONDS,
            "known": rows.label_end * MILLISECONDS,
            "bars": rows.count,
            "learned": f"{version.features} features, {len(version.patterns)} patterns, {version.chosen}",
        }
        for what, rows in named.items()
    ]


def _in_force(result: Result) -> list[dict[str, object]]:
    """A row for each segment and its champion; adjacent rows touch, so a reign is one bar."""
    return [
        {
            "version": f"v{session.champion}",
            "what": "in force",
            "from": segment.date * MILLISECONDS,
            "to": segment.last * MILLISECONDS,
            "known": result.loop.version(session.champion).fit_label_end * MILLISECONDS,
            "bars": sum(1 for time in result.times if segment.first <= time <= segment.last),
            "learned": "",
        }
        for segment, session in zip(result.segments, result.loop.sessions, strict=True)
    ]
