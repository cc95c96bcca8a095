"""Common parts of all charts: figures, the colour scale of arms, the date axis.

Colours in a chart are names such as @ratchet; the page replaces them by the light or dark palette.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np

from ratchet.backtest.result import ALWAYS, NEVER, RATCHET, SCRATCH
from ratchet.backtest.wording import arm_name

MILLISECONDS = 1000
ARM_COLOURS = {RATCHET: "@ratchet", ALWAYS: "@always", NEVER: "@never", SCRATCH: "@scratch"}
LABEL_GAP = 14
"""Pixels between the middles of two labels."""
VERDICT_COLOURS = {
    "PROMOTED": "@better",
    "REJECTED": "@worse",
    "INCONCLUSIVE": "@neutral",
    "NO_NEW_EVIDENCE": "@faint",
}

AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart


@dataclass(frozen=True)
class Panel:
    """One chart of a figure, `height` pixels high and of full width; `alternative`: its text alternative."""

    chart: AnyChart
    alternative: str
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """A part of the page; `reading`: an explanation of the chart and its result."""

    name: str
    title: str
    reading: str
    panels: tuple[Panel, ...]


def arm_colour(shown: Sequence[str], best: str, legend: alt.Legend | None = None) -> alt.Color:
    """Colour by arm name, the same in every chart: baselines share one colour, except the `best`."""
    colours = {arm: ARM_COLOURS.get(arm, "@best" if arm == best else "@baseline") for arm in shown}
    return alt.Color(
        "arm:N",
        scale=alt.Scale(domain=[arm_name(arm) for arm in shown], range=list(colours.values())),
        legend=legend,
    )


def spread(heights: Sequence[float], top: float, gap: float = LABEL_GAP) -> list[float]:
    """Label heights from 0 to `top`, in the same order, `gap` apart and as near to `heights` as possible.

    Least squares: overlapping labels form a block, evenly spaced about the mean of their heights.
    """
    order = np.argsort(heights, kind="stable")
    blocks: list[list[float]] = []
    for place, index in enumerate(order):
        blocks.append([heights[index] - place * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    bases = [float(np.mean(block)) for block in blocks for _ in block]
    most = max(0.0, top - gap * (len(heights) - 1))
    placed = [0.0] * len(heights)
    for place, index in enumerate(order):
        placed[index] = min(max(bases[place], 0.0), most) + place * gap
    return placed


def dates(field: str, span: tuple[int, int] | None = None) -> alt.X:
    """A horizontal axis of dates over `span` (epoch seconds); the field holds milliseconds."""
    domain = alt.Undefined if span is None else [span[0] * MILLISECONDS, span[1] * MILLISECONDS]
    scale = alt.Scale(type="utc", domain=domain)
    return alt.X(f"{field}:T", title=None, scale=scale, axis=alt.Axis(grid=False, labelOverlap=True, tickCount="year"))


def on_date(field: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:T", title=title, format="%Y-%m-%d", formatType="utc")


def values(rows: list[dict[str, object]]) -> alt.Data:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]
