"""Chart: the E-value of every pair at the gate, session by session, on a log scale."""

from __future__ import annotations

import altair as alt

from ratchet.backtest.report.figure import (
    MILLISECONDS,
    VERDICT_COLOURS,
    AnyChart,
    Figure,
    Panel,
    dates,
    on_date,
    values,
)
from ratchet.backtest.result import Result
from ratchet.backtest.wording import percent, promotions
from ratchet.decisions.gate import POLICIES, REJECT_E

LOWEST, HIGHEST = 1e-4, 1e6


def figure(result: Result) -> Figure:
    pairs = [pair for session in result.loop.sessions for pair in session.tested]
    threshold = POLICIES[result.setting.policy].e_threshold  # type: ignore[index]
    passed = sum(1 for pair in pairs if pair.verdict == "PROMOTED")
    return Figure(
        "evidence",
        "The evidence for each promotion",
        "A dot is a pair of models on the same unseen bars: its E says how much evidence there is that the contender"
        f" is better than the champion. {result.setting.policy} promotes from {threshold:.0f} on, when the"
        " Diebold-Mariano test agrees; where several pass, the one with the largest E. Hollow dots are earlier"
        f" challengers that stayed in the race. Values beyond {LOWEST:g} and {HIGHEST:,.0f} are drawn at the edge.",
        (
            Panel(
                chart(result, threshold),
                f"{len(pairs)} pairs in {len(result.loop.sessions)} sessions; {passed} passed the gate,"
                f" {promotions(result.loop)} champions were replaced.",
            ),
        ),
    )


def chart(result: Result, threshold: float) -> AnyChart:
    rows: list[dict[str, object]] = [
        {
            "t": session.date * MILLISECONDS,
            "e": min(max(pair.e_value, LOWEST), HIGHEST),
            "exact": f"{pair.e_value:.3g}",
            "pair": f"v{pair.contender} against v{pair.champion}",
            "kind": "challenger" if pair.contender == session.version else "contender",
            "verdict": pair.verdict,
            "bars": pair.bars,
            "p": pair.dm_p,
            "improvement": percent(pair.improvement_percent),
        }
        for session in result.loop.sessions
        for pair in session.tested
    ]
    span = result.segments[0].date, result.segments[-1].date
    lines: list[dict[str, object]] = [
        {"e": threshold, "name": f"promotes from {threshold:.0f}"},
        {"e": 1.0, "name": "no evidence either way"},
        {"e": 1.0 / REJECT_E, "name": ""},
    ]
    shown = [verdict for verdict in VERDICT_COLOURS if any(row["verdict"] == verdict for row in rows)]
    verdicts = alt.Scale(domain=shown, range=[VERDICT_COLOURS[verdict] for verdict in shown])
    y = alt.Y(
        "e:Q",
        title="E (log scale)",
        scale=alt.Scale(type="log", domainMin=_lowest(rows), domainMax=_highest(rows, threshold)),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    legend = alt.Legend(orient="top", title=None, symbolType="circle")
    dots = (
        alt.Chart(values(rows))
        .mark_point(size=90, strokeWidth=2)
        .encode(
            dates("t", span),
            y,
            alt.Color("verdict:N", scale=verdicts, legend=legend),
            fill=alt.Fill("verdict:N", scale=verdicts, legend=legend),
            fillOpacity=alt.condition("datum.kind == 'challenger'", alt.value(0.85), alt.value(0)),
            tooltip=[
                on_date("t", "session"),
                alt.Tooltip("pair:N"),
                alt.Tooltip("exact:N", title="E"),
                alt.Tooltip("p:Q", format=".3f"),
                alt.Tooltip("improvement:N"),
                alt.Tooltip("bars:Q"),
                alt.Tooltip("verdict:N"),
            ],
        )
    )
    base = alt.Chart(values(lines[:2]))
    rules = base.mark_rule(color="@muted", strokeDash=[4, 3]).encode(alt.Y("e:Q"))
    names = base.mark_text(align="right", dy=-7, fontSize=11, color="@muted").encode(
        alt.Y("e:Q"), x=alt.value("width"), text="name:N"
    )
    return alt.layer(rules, names, dots).properties(height=300)


def _lowest(rows: list[dict[str, object]]) -> float:
    return min([0.1, *(float(str(row["e"])) / 2 for row in rows)])


def _highest(rows: list[dict[str, object]], threshold: float) -> float:
    return max([threshold * 5, *(float(str(row["e"])) * 2 for row in rows)])
