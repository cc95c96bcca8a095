"""The report: one self-contained HTML file. It needs the extra `report`."""

from __future__ import annotations

import altair as alt
import vl_convert

from ratchet.backtest import compare
from ratchet.backtest.report import calibration, cost, evidence, page, patterns, trajectory, windows
from ratchet.backtest.report.figure import Figure
from ratchet.backtest.result import Result


def render(result: Result) -> str:
    """The page of a backtest."""
    scores = compare.scores(result)
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)
    return page.html(result, scores, figures(result, scores), library)


def figures(result: Result, scores: tuple[compare.Score, ...]) -> tuple[Figure, ...]:
    """The charts in the order of the page."""
    return (
        trajectory.figure(result, scores),
        evidence.figure(result),
        windows.figure(result),
        calibration.figure(result, scores),
        cost.figure(scores),
        patterns.figure(result),
    )
