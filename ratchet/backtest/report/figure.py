"""What all charts share: the figure that one belongs to, the scale of arms, the axis of dates.

Colours in a chart are names such as @ratchet; the page puts in those of the light or the dark palette.
"""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt

from ratchet.backtest.result import ARMS, ArmName

MILLISECONDS = 1000
ARM_COLOURS: dict[ArmName, str] = {
    "ratchet": "@ratchet",
    "never retrained": "@never",
    "always replaced": "@always",
    "plain": "@plain",
    "from scratch": "@scratch",
    "logistic": "@logistic",
    "persistence": "@persistence",
    "majority": "@majority",
}
ARM_DASHES: dict[ArmName, list[int]] = {
    "ratchet": [1, 0],
    "never retrained": [6, 3],
    "always replaced": [1, 0],
    "plain": [1, 0],
    "from scratch": [1, 0],
    "logistic": [6, 2, 1, 2],
    "persistence": [2, 2],
    "majority": [2, 4],
}
VERDICT_COLOURS = {
    "PROMOTED": "@better",
    "REJECTED": "@worse",
    "INCONCLUSIVE": "@neutral",
    "NO_NEW_EVIDENCE": "@faint",
}

AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart


@dataclass(frozen=True)
class Panel:
    """One chart of a figure, `height` pixels high and as wide as its place; `alternative` says it in words."""

    chart: AnyChart
    alternative: str
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """A part of the page: `reading` tells a person how to read the chart and what it shows here."""

    name: str
    title: str
    reading: str
    panels: tuple[Panel, ...]


def arm_colour(shown: list[ArmName]) -> alt.Color:
    """Colour by arm, the same for an arm in every chart; the legend has those that are `shown`."""
    return alt.Color(
        "arm:N",
        scale=alt.Scale(domain=list(ARMS), range=[ARM_COLOURS[arm] for arm in ARMS]),
        legend=alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=2.5, values=shown),
    )


def arm_dash(shown: list[ArmName]) -> alt.StrokeDash:
    return alt.StrokeDash(
        "arm:N",
        scale=alt.Scale(domain=list(ARMS), range=[ARM_DASHES[arm] for arm in ARMS]),
        legend=alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=2.5, values=shown),
    )


def dates(field: str, span: tuple[int, int] | None = None) -> alt.X:
    """A horizontal axis of dates over `span` (epoch seconds); the field holds milliseconds."""
    domain = alt.Undefined if span is None else [span[0] * MILLISECONDS, span[1] * MILLISECONDS]
    scale = alt.Scale(type="utc", domain=domain)
    return alt.X(f"{field}:T", title=None, scale=scale, axis=alt.Axis(grid=False, labelOverlap=True, tickCount="year"))


def on_date(field: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:T", title=title, format="%Y-%m-%d", formatType="utc")


def values(rows: list[dict[str, object]]) -> alt.Data:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]
