"""The HTML page: findings, table, charts, decisions, provenance."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape

from ratchet.backtest.bar_times import format_day
from ratchet.backtest.compare import Finding, Score, best_baseline
from ratchet.backtest.report.figure import Figure, Panel
from ratchet.backtest.report.script import script
from ratchet.backtest.report.style import DARK, LIGHT, css
from ratchet.backtest.result import ALWAYS, NEVER, RATCHET, SCRATCH, Result, is_baseline
from ratchet.backtest.wording import CLAIM, arm_name, by_finding, comparisons, estimate, headline, history, percent
from ratchet.names import NAIVE_BASELINES
from ratchet.statistics.scores import Interval

MARKS: dict[Finding, str] = {"better": "better", "worse": "worse", "not shown": "neutral"}
VERDICT_MARKS = {"PROMOTED": "better", "REJECTED": "worse"}
MEANING = {
    RATCHET: "the champion that the gate left in force",
    ALWAYS: "the newest version, whatever the gate said",
    NEVER: "v1 for ever",
    SCRATCH: "trained anew at each date on the features that version 1 reads",
    "base-rate@baseline": "the frequency of the label so far",
    "persistence@baseline": "the frequency of the label after the last known one",
    "har@baseline": "logistic regression on the HAR columns, refitted as labels come in",
    "ridge@baseline": "logistic regression on all library features with a strong ridge, refitted as labels come in",
    "boosting@baseline": "gradient boosting on all library features, refitted as labels come in",
    "online@baseline": "one Newton step a bar on the HAR columns",
    "mean@baseline": "the mean of har, online, ridge and boosting",
    "stack@baseline": "a Newton step a bar on the log-odds of har, online, ridge and boosting",
    "har-level@baseline": "least squares on the log range, refitted as labels come in",
}
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'"
)
SIDE_BY_SIDE = ("calibration", "cost")
GAIN_WIDTH, GAIN_HEIGHT = 170, 18


def html(result: Result, scores: Sequence[Score], figures: Sequence[Figure], library: str) -> str:
    """The whole page; `library`: the script that defines vegaEmbed."""
    setting = result.setting
    title = f"Backtest of {setting.series} {setting.task}, {setting.model_type}"
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta name="theme-color" content="{LIGHT["page"]}" media="(prefers-color-scheme: light)">',
            f'<meta name="theme-color" content="{DARK["page"]}" media="(prefers-color-scheme: dark)">',
            f"<title>{escape(title)}</title><style>{css()}</style></head><body><main>",
            _head(result, scores),
            _table(scores, len(result.times)),
            *_figures(figures),
            _decisions(result),
            _provenance(result),
            "</main>",
            *(_spec(name, panel) for name, panel in _named(figures)),
            f"<script>{_inline(library)}</script>",
            f"<script>{script()}</script>",
            "</body></html>",
        )
    )


def _head(result: Result, scores: Sequence[Score]) -> str:
    setting = result.setting
    findings = "".join(
        f'<li><span class="mark {MARKS[finding]}">{CLAIM[finding]}</span><span>{escape(said)}</span></li>'
        for finding, said in by_finding(comparisons(scores)).items()
    )
    return (
        f"<header><h1>{escape(setting.series)} {escape(setting.task)}, {escape(setting.model_type)}</h1>"
        f'<p class="quiet">The whole loop replayed over history: {len(result.times):,} bars scored,'
        f" {format_day(result.times[0])} to {format_day(result.times[-1])}, nothing after each date visible.</p>"
        f'<p class="lead">{escape(headline(result, scores))}</p><p>{escape(history(result))}</p></header>'
        f'<ul class="findings" aria-label="What is gained, and what is not">{findings}</ul>'
    )


def _table(scores: Sequence[Score], bars: int) -> str:
    limits = [
        abs(value)
        for score in scores
        if score.gain and score.arm not in NAIVE_BASELINES
        for value in (score.gain.percent.low, score.gain.percent.high)
    ]
    reach = max([1.0, *(value for value in limits if not math.isnan(value))])
    best = best_baseline(scores)
    trained = "".join(_row(score, reach, best) for score in scores if not is_baseline(score.arm))
    baselines = "".join(_row(score, reach, best) for score in scores if is_baseline(score.arm))
    return (
        '<section><h2>Every arm on the same bars</h2><div class="scroll" tabindex="0" role="region"'
        ' aria-label="Scores of all arms">'
        f"<table><caption>{bars:,} bars, the same for all. A smaller Brier score is better; the gain is ratchet’s,"
        " paired bar by bar, with 95 % intervals.</caption><thead><tr>"
        '<th scope="col">arm</th><th scope="col">Brier</th><th scope="col">accuracy</th><th scope="col">AUC</th>'
        '<th scope="col" colspan="2">ratchet’s Brier gain over it, %</th><th scope="col" class="number">CPU s</th>'
        f'</tr></thead><tbody class="trained">{trained}</tbody>'
        '<tbody><tr><th class="group" scope="rowgroup" colspan="7">baselines, the best of them in bold</th></tr>'
        f"{baselines}</tbody></table></div></section>"
    )


def _row(score: Score, reach: float, best: Score) -> str:
    gain = "<td></td><td></td>"
    if score.gain is not None:
        said = percent(score.gain.percent).replace(" %", "", 1)
        gain = (
            f"<td>{_gain(score.gain.percent, score.gain.finding, reach)}</td>"
            f'<td class="{MARKS[score.gain.finding]}">{said}</td>'
        )
    spent = "" if is_baseline(score.arm) else f"{score.cpu_seconds:,.1f}"
    return (
        f"<tr{' class=best' if score.arm == best.arm else ''}>"
        f'<th scope="row" title="{MEANING.get(score.arm, "")}">{escape(arm_name(score.arm))}</th>'
        f"<td>{_estimate(score.brier, 4)}</td><td>{_estimate(score.accuracy, 3)}</td><td>{_estimate(score.auc, 3)}</td>"
        f'{gain}<td class="number">{spent}</td></tr>'
    )


def _estimate(interval: Interval, digits: int) -> str:
    said = estimate(interval, digits)
    value, _, limits = said.partition(" [")
    return f'{value} <span class="range">[{limits}</span>' if limits else said


def _gain(gain: Interval, found: Finding, reach: float) -> str:
    """SVG of an interval: a line with a dot, relative to zero; an arrow beyond `reach`; empty if undefined."""
    if math.isnan(gain.value):
        return ""

    def at(value: float) -> float:
        return round(GAIN_WIDTH / 2 * (1 + 0.96 * max(-1.0, min(1.0, value / reach))), 1)

    middle = GAIN_HEIGHT / 2
    limits = (
        ""
        if math.isnan(gain.low)
        else f'<line class="limits" x1="{at(gain.low)}" x2="{at(gain.high)}" y1="{middle}" y2="{middle}"/>'
    )
    side = 1 if gain.value > 0 else -1
    mark = (
        f'<circle cx="{at(gain.value)}" cy="{middle}" r="4"/>'
        if abs(gain.value) <= reach
        else f'<path d="M{at(gain.value)} {middle}l{-7 * side} -5v10z"/>'
    )
    return (
        f'<svg class="gain {MARKS[found]}" viewBox="0 0 {GAIN_WIDTH} {GAIN_HEIGHT}" aria-hidden="true">'
        f'<line class="zero" x1="{at(0)}" x2="{at(0)}" y1="0" y2="{GAIN_HEIGHT}"/>{limits}'
        f"{mark}</svg>"
    )


def _figures(figures: Sequence[Figure]) -> list[str]:
    """Each figure as a section; the figures in SIDE_BY_SIDE share a row."""
    apart = [figure for figure in figures if figure.name in SIDE_BY_SIDE]
    made: list[str] = []
    for figure in figures:
        if figure not in apart:
            made.append(_figure(figure))
        elif figure == apart[0]:
            made.append(f'<div class="pair">{"".join(_figure(one) for one in apart)}</div>')
    return made


def _figure(figure: Figure) -> str:
    panels = "".join(_panel(_id(figure, number), panel) for number, panel in enumerate(figure.panels))
    inside = f'<div class="panels">{panels}</div>' if len(figure.panels) > 1 else panels
    return (
        f'<section id="{figure.name}"><h2>{escape(figure.title)}</h2>'
        f'<p class="reading">{escape(figure.reading)}</p>{inside}</section>'
    )


def _panel(name: str, panel: Panel) -> str:
    title = f"<h3>{escape(panel.title)}</h3>" if panel.title else ""
    said = escape(f"{panel.title}: {panel.alternative}" if panel.title else panel.alternative)
    return (
        f'<figure>{title}<div class="chart" data-chart="{name}" data-said="{said}"></div>'
        f"<figcaption>{escape(panel.alternative)}</figcaption></figure>"
    )


def _id(figure: Figure, number: int) -> str:
    return f"spec-{figure.name}" if len(figure.panels) == 1 else f"spec-{figure.name}-{number}"


def _named(figures: Sequence[Figure]) -> list[tuple[str, Panel]]:
    return [(_id(figure, number), panel) for figure in figures for number, panel in enumerate(figure.panels)]


def _spec(name: str, panel: Panel) -> str:
    spec = panel.chart.properties(width="container").to_dict()
    wanted = {key: value for key, value in spec.items() if key not in ("$schema", "config")}
    wanted |= {"autosize": {"type": "fit-x", "contains": "padding"}, "description": panel.alternative}
    text = json.dumps(wanted, separators=(",", ":"), ensure_ascii=False)
    return f'<script type="application/json" id="{name}">{_inline(text)}</script>'


def _inline(text: str) -> str:
    """Escapes `</script`; in a JavaScript string, its only possible place, `<\\/` is equivalent."""
    return text.replace("</script", "<\\/script")


def _decisions(result: Result) -> str:
    items = "".join(
        f'<li><time datetime="{format_day(session.date)}">{format_day(session.date)}</time>'
        f"<span>v{session.version}</span>"
        f'<span class="mark {VERDICT_MARKS.get(session.verdict, "neutral")}">'
        f"{session.ended}</span>"
        f"<div>{''.join(f'<p>{escape(said)}</p>' for said in (session.reason, *session.diagnosis))}</div></li>"
        for session in result.loop.sessions
    )
    return (
        '<section><h2>The decisions, in the registry’s words</h2><p class="reading">One for each session of the'
        " loop. What was not promoted says why.</p>"
        f'<ol class="decisions">{items}</ol></section>'
    )


def _provenance(result: Result) -> str:
    setting = result.setting
    facts = {
        "series": f"{setting.series}, {setting.bars:,} bars, {format_day(setting.first_bar)}"
        f" to {format_day(setting.last_bar)},"
        f" from {setting.source}",
        "task": f"{setting.task}, {setting.horizon} bar{'s' if setting.horizon > 1 else ''} ahead",
        "sessions": f"{len(result.segments)}, every {setting.every} bars from"
        f" {format_day(result.segments[0].date)} on; each"
        " saw the bars up to its date and nothing later",
        "policy": setting.policy,
        "forecasts": "each bar is scored once, by models whose last known label lies before what they forecast",
        "intervals": "95 %, each for itself, robust to the overlap of forecasts; were all arms equally good, one"
        " gain in 20 would still be shown as a difference",
        "best baseline": "the one with the lowest Brier score on these very bars; it is known only afterwards",
        "time": f"{setting.seconds:,.0f} s",
        "version": f"ratchet {setting.version}",
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return (
        f"<section><h2>How it was made</h2><dl>{listed}<dt>command</dt><dd><code>{escape(setting.command)}</code></dd>"
        "</dl></section>"
    )
